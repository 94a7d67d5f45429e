"""MAC addresses that more than one NIC of the fleet has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from novacron.records.nics import MACClash

if TYPE_CHECKING:
    from novacron.fleets.asking import Askable
    from novacron.handles.host import HostHandle
    from novacron.macs import MACAddresses


def mac_clashes(fleet: Askable, macs: MACAddresses, timeout: float | str | None) -> Sequence[MACClash]:
    """Return the clashes, and store all addresses; see `Fleet.mac_clashes`."""
    owners: dict[str, list[str]] = {}
    seen: dict[tuple[str, str], str] = {}
    for answer in fleet.ask([host.name for host in fleet.list()], _nics, timeout=timeout):
        if answer.error is not None:
            raise answer.error
        for mac, identity, vm in answer.value:
            if seen.setdefault(identity, vm) == vm:  # a machine that is registered twice has each VM once
                owners.setdefault(mac, []).append(vm)
    macs.remember(owners)
    return [MACClash(mac=mac, vms=tuple(sorted(vms))) for mac, vms in sorted(owners.items()) if len(vms) > 1]


def _nics(host: HostHandle) -> list[tuple[str, tuple[str, str], str]]:
    """Return the address of each NIC, what identifies its VM, and the VM's name."""
    vms = host.vms.list(detail="full").records
    nodes = host.nodes() if host.supports("node_list") else []
    machines = {node.name: node.id for node in nodes}
    where = {vm.id: ((machines.get(vm.node) if vm.node else None) or host.name, vm.id) for vm in vms}
    return [(nic.mac.lower(), where[vm.id], f"{host.name}/{vm.name}") for vm in vms for nic in vm.nics or () if nic.mac]


__all__ = ["mac_clashes"]
