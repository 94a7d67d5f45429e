"""One VM's full record: its state and its definition."""

from __future__ import annotations

from typing import Any

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


def vm_record(connection: KVMConnection, domain: Any, *, sizes: bool = True) -> VM:
    """Return the full record of a domain; without `sizes`, all but how large its disks are: two round trips less for each."""
    with translated(resource=domain.name()):
        state, reason = domain.state()
        info = domain.info()
        text = domain.XMLDesc(0)
        autostart = bool(domain.autostart()) if domain.isPersistent() else False
        persistent = bool(domain.isPersistent())
        saved = not domain.isActive() and persistent and _saved(domain)
    status, words = ("saved", "saved") if saved else TABLE.get((state, reason), ("unknown", ""))
    if status == "migrating" and not _job_runs(domain):
        status = "suspended"  # restored from memory that was saved while it was suspended
    if status == "stopped" and '"switching"' in text:
        status, words = status_of(state, reason, switching=bool(VMFacts.read(parse(text)).switching))
    known = fields(text)
    if not sizes:
        known["disks"] = tuple(located(connection, disk) for disk in known["disks"])
    else:
        known["disks"] = tuple(sized(connection, domain, disk) for disk in known["disks"])
    return VM(
        id=domain.UUIDString(),
        name=domain.name(),
        host=connection.name,
        node=connection.node,
        status=status,  # type: ignore[arg-type]
        status_reason=words,
        vcpus=info[3],
        memory_bytes=info[1 if without_balloon(text) else 2] * 1024,
        persistent=persistent,
        autostart=autostart,
        **known,
    )


def sized(connection: KVMConnection, domain: Any, disk: Disk) -> Disk:
    """Add capacity and allocation to a disk: from the volume, for asking QEMU would wait for one that hangs, else from the image."""
    read = connection.read
    try:
        if disk.pool and disk.volume:
            volume = read.storagePoolLookupByName(disk.pool).storageVolLookupByName(disk.volume)
        elif disk.source and disk.source.startswith("/"):
            volume = read.storageVolLookupByPath(disk.source)
        else:
            return disk
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


__all__ = ["located", "sized", "vm_record"]
