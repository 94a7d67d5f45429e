"""How large the disks of VMs are, and where their files are.

The volume of a disk tells it. QEMU is not asked, because a QEMU that hangs would never answer.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import libvirt

from novacron.errors import OperationTimeoutError
from novacron.records.disks import Disk
from novacron_kvm.connection import KVMConnection
from novacron_kvm.inventory.statistics import statistics_of_all
from novacron_kvm.xml.parsing import parse, text_of

STOPPED = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE
Sizes = Mapping[str, tuple[int, int]]
"""Capacity and allocation of each disk of a VM in bytes, by the disk's target."""


class DisksOfAll:
    """What libvirt knows of the disks of all VMs, read in a few calls instead of two for each disk.

    Args:
        connection: the host.
    """

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection
        self._guard = threading.Lock()
        self._stopped: dict[bytes, Sizes] | None = None
        self._of_thread = threading.local()  # volumes belong to the connection of a thread

    def volume(self, disk: Disk) -> Any:
        """Return libvirt's volume of a disk, None if no active pool has it."""
        connection = self._connection.read  # another one after this thread's was lost, or left to a call that hangs
        if getattr(self._of_thread, "connection", None) is not connection:
            self._of_thread.connection, self._of_thread.volumes = connection, _volumes(self._connection)
        return self._of_thread.volumes.get((disk.pool, disk.volume) if disk.pool and disk.volume else str(disk.source))

    def of_stopped(self, domain: Any) -> Sizes:
        """Return the sizes of a stopped VM's disks, as their files tell them. The first call reads those of all VMs."""
        with self._guard:
            if self._stopped is None:
                self._stopped = _sizes_of_stopped(self._connection)
        return self._stopped.get(domain.UUID(), {})


def sized(connection: KVMConnection, domain: Any, disk: Disk, known: DisksOfAll | None = None) -> Disk:
    """Add capacity, allocation and backing file to the record of a disk.

    Args:
        known: the disks of all VMs. None makes one or two calls for this disk.
    """
    by_name = bool(disk.pool and disk.volume)
    if not by_name and not (disk.source or "").startswith("/"):
        return disk
    try:
        volume = known.volume(disk) if known is not None else _volume(connection, disk)
        if volume is not None:
            root = parse(volume.XMLDesc(0))
            return disk.replace(
                source=text_of(root, "target/path") if by_name else disk.source,
                size_bytes=int(text_of(root, "capacity") or 0),
                allocated_bytes=int(text_of(root, "allocation") or 0),
                backing=disk.backing or text_of(root, "backingStore/path"),
            )
    except libvirt.libvirtError:
        pass  # no pool has it, or it was deleted meanwhile
    sizes = known.of_stopped(domain) if known is not None else _sizes(domain, disk.target)
    if disk.target not in sizes:
        return disk
    capacity, allocation = sizes[disk.target]
    return disk.replace(size_bytes=capacity, allocated_bytes=allocation)


def located(connection: KVMConnection, disk: Disk) -> Disk:
    """Return a disk's record with the path of its file, if its definition names it as a volume of a storage pool."""
    if not (disk.pool and disk.volume):
        return disk
    try:
        return disk.replace(source=_volume(connection, disk).path())
    except libvirt.libvirtError:
        return disk  # the pool is stopped, or the volume is gone


def _volume(connection: KVMConnection, disk: Disk) -> Any:
    """Look up the volume of a disk. Raises libvirtError if there is none."""
    if disk.pool and disk.volume:
        return connection.read.storagePoolLookupByName(disk.pool).storageVolLookupByName(disk.volume)
    return connection.read.storageVolLookupByPath(disk.source)


def _volumes(connection: KVMConnection) -> dict[str | tuple[str | None, str | None], Any]:
    """Return all volumes of active pools by path, and by the names of pool and volume. The key of most volumes is their path."""
    found: dict[str | tuple[str | None, str | None], Any] = {}
    try:
        pools = connection.read.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
    except libvirt.libvirtError:
        return found  # this hypervisor has no storage pools
    for pool in pools:
        try:
            for volume in pool.listAllVolumes(0):
                key = volume.key()
                found[key if key.startswith("/") else volume.path()] = found[pool.name(), volume.name()] = volume
        except libvirt.libvirtError:
            continue  # the pool was stopped meanwhile
    return found


def _sizes_of_stopped(connection: KVMConnection) -> dict[bytes, Sizes]:
    """Return the sizes of the disks of all stopped VMs; nothing if libvirt does not answer in time, as with files on a dead NFS server."""
    try:
        stats = statistics_of_all(connection, libvirt.VIR_DOMAIN_STATS_BLOCK, STOPPED)
    except (OperationTimeoutError, libvirt.libvirtError):
        return {}
    return {domain.UUID(): _sizes_in(values) for domain, values in stats}


def _sizes_in(values: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the sizes that libvirt's statistics tell. There are none for a disk whose file is gone."""
    disks = [f"block.{number}" for number in range(values.get("block.count", 0))]
    return {
        values[f"{disk}.name"]: (values[f"{disk}.capacity"], values[f"{disk}.allocation"])
        for disk in disks
        if f"{disk}.capacity" in values and f"{disk}.allocation" in values
    }


def _sizes(domain: Any, target: str) -> dict[str, tuple[int, int]]:
    """Return the sizes of one disk of a VM; nothing if the VM runs, or the disk's file is gone."""
    try:
        if domain.isActive():
            return {}
        capacity, allocation, _ = domain.blockInfo(target)
        return {target: (capacity, allocation)}
    except libvirt.libvirtError:
        return {}


__all__ = ["DisksOfAll", "located", "sized"]
