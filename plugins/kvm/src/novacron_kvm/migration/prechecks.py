"""The pre-checks of a migration. All failures are reported at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import NovaCronError, VMNotFoundError
from novacron.records.disks import Disk
from novacron.records.migration import MigrationCheck
from novacron.records.vm import VM
from novacron.secrets import Secrets
from novacron.units import format_size
from novacron_kvm.capabilities import guests
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.snapshots import snapshots_of
from novacron_kvm.errors import translated
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.storage.volume_files import find_path, find_volume
from novacron_kvm.versions import version_text
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import parse, serialise, text_of
from novacron_kvm.xml.reading import disk as disk_record
from novacron_kvm.xml.resources import numbers

if TYPE_CHECKING:
    from novacron.specs.migration import MigrationSpec


def check_migration(source: KVMConnection, domain: Any, record: VM, to: Any, spec: MigrationSpec) -> MigrationCheck:
    """Return the result of all checks, on both hosts, read-only."""
    failures, warnings = list[str](), list[str]()
    destination = to.driver.native
    if not isinstance(destination, KVMConnection):
        failures.append(f"{to.name} is not a libvirt host")
    elif not source.shared or not destination.shared:
        failures.append("hosts without a daemon can't migrate")
    else:
        with translated(resource=record.name):
            definition = parse(domain.XMLDesc(0))
            if source.identity == destination.identity:
                failures.append(f"{source.name} and {to.name} are the same host")
            else:
                failures += _at_destination(destination, definition, record, to.name, spec)
                failures += _space(source.read, destination.read, record, to.name, spec)
                warnings += _older(source, destination, to.name)
            failures += _at_source(source.secrets, definition, record, spec, [root for _, root in snapshots_of(domain)])
    if spec.storage == "shared" and any(d.source for d in record.disks or ()):
        warnings.append("that the disks are the same storage on both hosts was judged by path, size and allocation")
    return MigrationCheck(
        vm=record.id, source=source.name, destination=to.name, failures=tuple(failures), warnings=tuple(warnings)
    )


def _at_source(secrets: Secrets, definition: Any, record: VM, spec: MigrationSpec, snapshots: list[Any]) -> Iterator[str]:
    if record.status not in ("running", "suspended", "stopped"):
        yield f"it is {record.status}: running, suspended or stopped VMs can move"
    if definition.findall("devices/hostdev"):
        yield "it has passed-through devices of this host"
    if spec.storage != "shared" and snapshots:
        if record.status != "stopped":
            yield "it has snapshots, and only what its disks are now is copied; delete them, stop it, or use shared storage"
        elif any(root.find("disks/disk[@snapshot='external']") is not None for root in snapshots):
            yield "it has external snapshots, whose files would stay here; delete them, or use shared storage"
    if not record.persistent:
        yield "it is transient"
    encrypted = [disk.target for disk in record.disks or () if disk.encrypted]
    if spec.storage != "shared" and encrypted:
        yield f"its disks {', '.join(encrypted)} are encrypted, and their content would be copied in the clear; use shared storage"
    for name in sorted({*VMFacts.read(definition).secrets.values()}):
        try:
            secrets.get(name)
        except NovaCronError as error:
            yield f"{error}; its disks can't be opened without it"


def _at_destination(destination: KVMConnection, definition: Any, record: VM, name: str, spec: MigrationSpec) -> Iterator[str]:
    read = destination.read
    for key in (record.id, record.name):
        try:
            destination.domain(key)
        except VMNotFoundError:
            continue
        yield f"{name} has a VM {key!r} already"
    known = guests(read)
    if record.arch not in known:
        yield f"{name} can't run {record.arch} guests"
    else:
        virt_type = str(record.native.get("virt_type"))
        if virt_type not in known[record.arch]["virt_types"]:
            yield f"{name} has no {virt_type}"
        elif record.machine:
            try:
                read.getDomainCapabilities(None, record.arch, record.machine, virt_type, 0)
            except libvirt.libvirtError:
                yield f"{name} lacks the machine type {record.machine}"
            else:
                yield from cpu_problems(read, definition, virt_type, name)
    yield from pinning_problems(definition, read.getCPUMap(0)[0], name)
    for network in sorted({n.network for n in record.nics or () if n.type == "network" and n.network}):
        try:
            if not read.networkLookupByName(network).isActive():
                yield f"the network {network!r} of {name} is not active"
        except libvirt.libvirtError:
            yield f"{name} has no network {network!r}"
    yield from _files(read, definition, record, name, spec)
    try:
        free = read.getFreeMemory()
        if record.status != "stopped" and free < record.memory_bytes:
            yield f"{name} has {free // 2**20} MiB of free memory, the VM has {record.memory_bytes // 2**20} MiB"
    except libvirt.libvirtError:
        pass  # not known: libvirt itself will say


def pinning_problems(definition: Any, cpus: int, name: str) -> Iterator[str]:
    """Yield to which CPUs a VM is pinned that a host with so many CPUs has not."""
    for pinned in sorted({pin.get("cpuset", "") for pin in definition.iterfind("cputune/*[@cpuset]")}):
        if max(numbers(pinned), default=0) >= cpus:
            yield f"it is pinned to the CPUs {pinned}, and {name} has {cpus}"


def cpu_problems(read: Any, definition: Any, virt_type: str, name: str) -> Iterator[str]:
    """Yield why a host can't give a VM the CPU that its definition requires."""
    cpu, system = definition.find("cpu"), definition.find("os/type")
    if cpu is None or cpu.get("check", "none") == "none":
        return  # the guest takes what it gets
    asked = (None, system.get("arch"), system.get("machine"), virt_type, serialise(cpu))
    try:
        read.compareHypervisorCPU(*asked, libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            yield f"{name} can't give the CPU {text_of(cpu, 'model') or cpu.get('mode')}: {error.get_str2() or error}"


def _older(source: KVMConnection, destination: KVMConnection, name: str) -> Iterator[str]:
    """Yield what of the destination is older than at the source: a guest's state need not be readable there."""
    for what, ours, theirs in (
        ("libvirt", source.libvirt_version, destination.libvirt_version),
        ("QEMU", source.read.getVersion(), destination.read.getVersion()),
    ):
        if theirs < ours:
            yield f"{name} has {what} {version_text(theirs)}, older than {version_text(ours)} at the source"


def _space(ours: Any, theirs: Any, record: VM, name: str, spec: MigrationSpec) -> Iterator[str]:
    """Yield the destination's pools that are too small for what the disks hold now."""
    if spec.storage == "shared":
        return
    needed = Counter[str]()
    pools = {}
    for disk in filter(is_copied, record.disks or ()):
        volume = find_path(ours, disk.source) if disk.source else None
        pool = folder_pool(theirs, disk.source) if disk.source else None
        if volume is not None and pool is not None:
            needed[pool.name()] += volume.info()[2]
            pools[pool.name()] = pool
    for pool, size in needed.items():
        free = pools[pool].info()[3]
        if free < size:
            yield f"the pool {pool!r} of {name} has {format_size(free)} free, the disks hold {format_size(size)}"


def _files(read: Any, definition: Any, record: VM, name: str, spec: MigrationSpec) -> Iterator[str]:
    files = HostFiles(read)
    for element in definition.iterfind("devices/disk"):
        disk = disk_record(element)
        if element.get("type") == "volume":
            yield from _volume_problems(read, disk, name, spec)
            continue
        if not disk.source or not disk.source.startswith("/"):
            continue
        if disk.pool and disk.volume and not _has_volume(read, disk.pool, disk.volume):
            yield (
                f"{name} has no volume {disk.volume!r} in a storage pool {disk.pool!r}, which is how the VM names the disk {disk.target}; "
                "make that pool there, or let the VM name the disk by its path"
            )
            continue
        there = files.file(disk.source) is not None
        if not there and disk.device in ("cdrom", "floppy"):
            yield f"{name} does not see the medium of the drive {disk.target}, {disk.source}; eject it, or share it"
        elif (spec.storage == "shared" or not is_copied(disk)) and not there:
            yield f"{name} does not see the disk {disk.target}, {disk.source}; share it, or use storage='copy'"
        if spec.storage != "shared" and is_copied(disk):
            if there:
                yield f"{name} already has the file of the disk {disk.target}, {disk.source}; is it shared? then use storage='shared'"
            elif folder_pool(read, disk.source) is None:
                yield f"{name} has no active storage pool of the folder of the disk {disk.target}, {disk.source}"
            if spec.storage == "copy-top" and (not disk.backing or find_path(read, disk.backing) is None):
                yield f"{name} does not see what the disk {disk.target} is linked to, {disk.backing or 'nothing'}; use storage='copy'"
    for path in filter(None, (text_of(definition, "os/kernel"), text_of(definition, "os/initrd"))):
        if files.file(path) is None:
            yield f"{name} does not see {path}"


def _volume_problems(read: Any, disk: Disk, name: str, spec: MigrationSpec) -> Iterator[str]:
    """Yield why a disk that names a volume of a storage pool can't be opened at the destination."""
    what = f"the volume {disk.volume!r} of the storage pool {disk.pool!r}, which the disk {disk.target} names"
    if spec.storage != "shared" and is_copied(disk):
        yield f"{what}, can't be copied by a migration; move the disk to a file first, or use shared storage"
        return
    try:
        find_volume(read, disk.pool or "", disk.volume or "")
    except NovaCronError:
        remedy = "eject it" if disk.device in ("cdrom", "floppy") else "make that storage pool there, of shared storage"
        yield f"{name} has not {what}; {remedy}"


def _has_volume(read: Any, pool: str, volume: str) -> bool:
    try:
        find_volume(read, pool, volume)
    except NovaCronError:
        return False
    return True


def is_copied(disk: Disk) -> bool:
    """Whether a migration without shared storage sends a disk: those that the VM writes and nobody shares."""
    return disk.device == "disk" and not disk.read_only and not disk.shareable


def folder_pool(connection: Any, path: str) -> Any | None:
    """Return the active storage pool of a file's folder, None when there is none."""
    try:
        pool = connection.storagePoolLookupByTargetPath(path.rpartition("/")[0])
    except libvirt.libvirtError:
        return None
    return pool if pool.isActive() else None


def destination_of(to: Any) -> KVMConnection:
    """Return the other side's connection. Raises NovaCronError when it is of another kind."""
    native = to.driver.native
    if not isinstance(native, KVMConnection):
        raise NovaCronError(f"{to.name} is not a libvirt host")
    return native


__all__ = ["check_migration", "is_copied", "cpu_problems", "destination_of", "folder_pool"]
