"""One VM's full record: its state and its definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import libvirt

from novacron.records.disks import Disk
from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.jobs.domain_jobs import statistics
from novacron_kvm.statuses import TABLE, status_of
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.reading import fields


class State(NamedTuple):
    """What libvirt knows of a VM beside its definition. Sizes of memory are in KiB."""

    code: int
    reason: int
    vcpus: int
    memory: int
    most_memory: int
    persistent: bool
    autostart: bool
    saved: bool


Volumes = Mapping[str | tuple[str, str], Any]
"""libvirt's volumes of active pools, by path, and by the names of the pool and the volume."""


def vm_record(connection: KVMConnection, domain: Any, *, sizes: bool = True) -> VM:
    """Return the full record of a domain; without `sizes`, all but how large its disks are: two round trips less for each."""
    with translated(resource=domain.name()):
        code, reason = domain.state()
        info = domain.info()
        text = domain.XMLDesc(0)
        persistent = bool(domain.isPersistent())
        autostart = persistent and bool(domain.autostart())
        saved = not domain.isActive() and persistent and _saved(domain)
    state = State(code, reason, info[3], info[2], info[1], persistent, autostart, saved)
    return record_of(connection, domain, state, text, sizes=sizes)


def record_of(
    connection: KVMConnection, domain: Any, state: State, text: str, *, sizes: bool = True, volumes: Volumes | None = None
) -> VM:
    """Return the full record of a domain from its state and its definition.

    Args:
        sizes: also read how large its disks are.
        volumes: all volumes, if they are known. None looks each one up.
    """
    status, words = ("saved", "saved") if state.saved else TABLE.get((state.code, state.reason), ("unknown", ""))
    if status == "migrating" and not _job_runs(domain):
        status = "suspended"  # restored from memory that was saved while it was suspended
    if status == "stopped" and '"switching"' in text:
        status, words = status_of(state.code, state.reason, switching=bool(VMFacts.read(parse(text)).switching))
    known = fields(text)
    if not sizes:
        known["disks"] = tuple(located(connection, disk) for disk in known["disks"])
    else:
        known["disks"] = tuple(sized(connection, domain, disk, volumes) for disk in known["disks"])
    return VM(
        id=domain.UUIDString(),
        name=domain.name(),
        host=connection.name,
        node=connection.node,
        status=status,  # type: ignore[arg-type]
        status_reason=words,
        vcpus=state.vcpus,
        memory_bytes=(state.most_memory if without_balloon(text) else state.memory) * 1024,
        persistent=state.persistent,
        autostart=state.autostart,
        **known,
    )


def sized(connection: KVMConnection, domain: Any, disk: Disk, volumes: Volumes | None = None) -> Disk:
    """Add capacity and allocation to a disk: from the volume, for asking QEMU would wait for one that hangs, else from the image."""
    if not (disk.pool and disk.volume) and not (disk.source or "").startswith("/"):
        return disk
    try:
        volume = _volume(connection, disk, volumes)
        if volume is not None:
            root = parse(volume.XMLDesc(0))
            return disk.replace(
                source=volume.path() if disk.pool else disk.source,
                size_bytes=int(text_of(root, "capacity") or 0),
                allocated_bytes=int(text_of(root, "allocation") or 0),
                backing=disk.backing or text_of(root, "backingStore/path"),
            )
    except libvirt.libvirtError:
        pass  # no pool has it
    try:
        if not domain.isActive():
            capacity, allocation, _ = domain.blockInfo(disk.target)
            return disk.replace(size_bytes=capacity, allocated_bytes=allocation)
    except libvirt.libvirtError:
        pass  # the file is gone
    return disk


def _volume(connection: KVMConnection, disk: Disk, volumes: Volumes | None) -> Any:
    """Return the volume of a disk; None if it is not among those that are known. Raises libvirtError if it is looked up in vain."""
    by_name = bool(disk.pool and disk.volume)
    if volumes is not None:
        return volumes.get((str(disk.pool), str(disk.volume)) if by_name else str(disk.source))
    if by_name:
        return connection.read.storagePoolLookupByName(disk.pool).storageVolLookupByName(disk.volume)
    return connection.read.storageVolLookupByPath(disk.source)


def located(connection: KVMConnection, disk: Disk) -> Disk:
    """Return a disk's record with the path of its file, if its definition names it as a volume of a storage pool."""
    if not (disk.pool and disk.volume):
        return disk
    try:
        volume = connection.read.storagePoolLookupByName(disk.pool).storageVolLookupByName(disk.volume)
        return disk.replace(source=volume.path())
    except libvirt.libvirtError:
        return disk  # the pool is stopped, or the volume is gone


def without_balloon(text: str) -> bool:
    """Whether a VM has no balloon by its definition: then it has all of its memory, whatever <currentMemory> says."""
    return "<memballoon model='none'" in text


def _job_runs(domain: Any) -> bool:
    try:
        return bool(statistics(domain))
    except libvirt.libvirtError:
        return True  # not known: say what libvirt says


def _saved(domain: Any) -> bool:
    try:
        return bool(domain.hasManagedSaveImage())
    except libvirt.libvirtError:
        return False  # the test driver has none


__all__ = ["State", "Volumes", "located", "record_of", "sized", "vm_record"]
