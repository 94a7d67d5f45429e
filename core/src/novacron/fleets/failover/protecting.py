"""Stores the definitions of VMs while their nodes are well, and says beforehand which VMs could not be restarted elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from novacron.errors import NovaCronError
from novacron.fleets.failover.leases import lockable
from novacron.handles.host import HostHandle
from novacron.records.capacity import FleetNode
from novacron.records.disks import Disk
from novacron.records.failover import ProtectedVM, Protection, ProtectionLevel
from novacron.records.fencing import FenceDevice
from novacron.records.pools import NETWORK_POOLS, StoragePool
from novacron.records.vm import VM, HostFile
from novacron.specs.query import VMQuery

PRIORITIES: Mapping[str, int] = {"restart-first": 0, "restart-last": 2}
"""Tags of VMs that are restarted before or after the others, which have the priority 1."""
NEVER = "restart-never"
"""The tag of VMs that are not restarted."""
AUTOSTARTED = "autostart is on: its host would start a second copy when it returns; switch it off"
"""The reason that a VM with autostart is stored with."""
NEVER_RESTARTED = f"it has the tag {NEVER}"
"""The reason that such a VM is stored with."""
LEVELS: Mapping[str, ProtectionLevel] = {"virtlockd": "A", "sanlock": "B", "none": "C"}
"""The level of a VM whose node has fence devices, by the storage lease of the group."""


class SharedStorage:
    """The storage pools of a host that all nodes of its group share.

    Args:
        pools: the records of these pools.
    """

    def __init__(self, pools: Iterable[StoragePool]) -> None:
        self.pools = list(pools)
        self._names = {pool.name for pool in self.pools}
        self._paths = tuple(pool.path.rstrip("/") + "/" for pool in self.pools if pool.path)

    def __contains__(self, disk: Disk) -> bool:
        """Return whether a disk is in one of the pools. Not all drivers report the pool of a disk; then its path decides."""
        return disk.pool in self._names or (disk.pool is None and self.has(disk.source or ""))

    def has(self, path: str) -> bool:
        """Return whether a file or folder is in one of the pools."""
        return path.startswith(self._paths or ("\0",)) and "/../" not in path


def read_protected(
    host: HostHandle,
    node: FleetNode,
    shared: Sequence[str],
    known: Mapping[str, ProtectedVM],
    secrets: Callable[[str], str],
) -> tuple[list[ProtectedVM], set[str]]:
    """Read the VMs of a node.

    Args:
        host: the node's host.
        node: the node.
        shared: names of the storage pools that the nodes of its group share.
        known: what is stored, by the VM's UUID.
        secrets: returns the value of a secret; the process that restarts VMs needs those of encrypted disks.

    Returns:
        The VMs that differ from what is stored, and the UUIDs of all VMs.
    """
    vms = host.invoke("vm_list", query=VMQuery(detail="full"))
    pools = host.invoke("pool_list") if host.supports("pool_list") else ()
    storage = SharedStorage(pool for pool in pools if pool.type in NETWORK_POOLS or pool.name in shared)
    changed = []
    for vm in vms:
        try:
            found = _protected(host, node, vm, storage, secrets)
        except NovaCronError:
            continue  # it is changing; the next round reads it again
        if known.get(vm.id) != found:
            changed.append(found)
    return changed, {vm.id for vm in vms}


def levels(
    node: FleetNode,
    vms: Sequence[tuple[str, str]],
    stored: Mapping[str, ProtectedVM],
    devices: Sequence[FenceDevice],
    settings: Any,
    unwatched: str = "",
    lock_manager: str | None = None,
) -> Iterator[Protection]:
    """Yield how the VMs of a node are protected. `vms` are UUIDs and names, `unwatched` says why failover does not watch the node.

    `lock_manager` is what its host uses now; None if it is not known, and the setting is believed.
    """
    missing = [f"{node.name} is not watched: {unwatched}"] if unwatched and not node.restarted_by else []
    if settings.failover != "on":
        missing.append(f"failover is off for the group {node.group}" if node.group else "its node belongs to no group")
    if node.restarted_by:
        missing.append(f"{node.restarted_by} restarts it")
    if not devices:
        missing.append(f"{node.name} has no fence device")
    notes = ["a person has to confirm that the node is off"] if devices and all(d.agent == "manual" for d in devices) else []
    if settings.failover_disarmed:
        notes.append("failover is disarmed")
    lease = settings.storage_lease or "none"
    if lease != "none" and lock_manager not in (None, lease):
        notes.append(f"the storage lease {lease} is set, but the lock manager of {node.host} is {lock_manager}")
        lease = "none"
    for vm, name in vms:
        known = stored.get(vm)
        why = [*missing, *(known.refusals if known is not None else ["its definition is not stored yet"])]
        level = "D" if why else LEVELS[lease]
        yield Protection(vm=vm, name=name, node=node.name, level=level, why=tuple(why or notes))


def _protected(host: HostHandle, node: FleetNode, vm: VM, shared: SharedStorage, secrets: Callable[[str], str]) -> ProtectedVM:
    return ProtectedVM(
        vm=vm.id,
        node=node.id,
        name=vm.name,
        definition=host.invoke("vm_export", vm=vm.id).text,
        priority=min((PRIORITIES[tag] for tag in vm.tags or () if tag in PRIORITIES), default=1),
        refusals=tuple(_refusals(host, vm, shared, secrets)),
        volumes=tuple(lockable(vm.disks, shared.pools)),
    )


def _refusals(host: HostHandle, vm: VM, shared: SharedStorage, secrets: Callable[[str], str]) -> Iterator[str]:
    """Yield why a VM can't be restarted on another node without loss or danger."""
    if NEVER in (vm.tags or ()):
        yield NEVER_RESTARTED
    if not vm.persistent:
        yield "it is transient, so it has no definition"
    if vm.autostart:
        yield AUTOSTARTED
    if "devices of the host" in (vm.locked_memory or ()):
        yield "it uses devices of its host"
    yield from _host_needs(host, vm, shared, secrets)
    for disk in vm.disks or ():
        if disk.source and disk not in shared:
            place = f"the storage pool {disk.pool}" if disk.pool else "no storage pool"
            yield f"its disk {disk.target} is in {place}, which is not shared"
    if host.supports("resources_get") and host.invoke("resources_get", vm=vm.id).pinning:
        yield "its vCPUs are pinned to CPUs of its host"
    if host.supports("snapshot_list") and host.invoke("snapshot_list", vm=vm.id):
        yield "it has snapshots, whose list is on its host"


def _host_needs(host: HostHandle, vm: VM, shared: SharedStorage, secrets: Callable[[str], str]) -> Iterator[str]:
    """Yield what a VM needs that only its host has: files beside its disks, and secrets of encrypted disks."""
    known = host.invoke("vm_configuration", vm=vm.id) if host.supports("vm_configuration") else None
    files = known.files if known is not None else ()
    if vm.firmware not in (None, "bios") and not any(file.use == "NVRAM" for file in files):
        files = (*files, HostFile(use="NVRAM"))
    for file in files:
        if file.path is None or not shared.has(file.path):
            yield f"its {file.use} is on its host only" + (f": {file.path}" if file.path else "")
    for target, name in (known.secrets if known is not None else {}).items():
        if name is None:
            yield f"its disk {target} is encrypted with a secret that only its host knows"
            continue
        try:
            secrets(name)
        except NovaCronError as error:
            yield f"its disk {target} could not be opened on another host: {error}"


__all__ = ["AUTOSTARTED", "LEVELS", "NEVER", "NEVER_RESTARTED", "PRIORITIES", "levels", "read_protected"]
