"""Creates the records of a VM's NICs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.drivers.sim.state.machine import SimVM
from novacron.drivers.sim.state.world import World
from novacron.errors import InvalidStateError, NetworkNotFoundError, TrafficFilterNotFoundError
from novacron.records.nics import NIC

if TYPE_CHECKING:
    from novacron.specs.nics import NICSpec


def make_nic(world: World, spec: NICSpec, mac: str | None = None) -> NIC:
    """Return the requested NIC.

    Raises:
        NetworkNotFoundError, TrafficFilterNotFoundError
        InvalidStateError: the network is not active.
    """
    if spec.network:
        network = world.networks.get(spec.network)
        if network is None:
            raise NetworkNotFoundError(
                f"no network {spec.network!r}",
                resource=spec.network,
                hint=f"there are: {', '.join(sorted(world.networks)) or 'none'}",
            )
        if not network.active:
            raise InvalidStateError(f"the network {spec.network!r} is not active", resource=spec.network, hint="start it first")
    if spec.filter and spec.filter not in world.filters:
        raise TrafficFilterNotFoundError(f"no traffic filter {spec.filter!r}", resource=spec.filter)
    kind = "network" if spec.network else "bridge" if spec.bridge else "direct" if spec.device else "user"
    return NIC(
        mac=(spec.mac or mac or world.new_mac()).lower(),
        type=kind,
        network=spec.network or spec.bridge or spec.device,
        model=spec.model,
        link_up=spec.link_up,
        mtu=spec.mtu,
        vlan=spec.vlan,
        portgroup=spec.portgroup,
        filter=spec.filter,
        isolated=spec.isolated,
        inbound_bytes_per_second=spec.inbound_bytes_per_second,
        outbound_bytes_per_second=spec.outbound_bytes_per_second,
    )


def changed_nic(world: World, old: NIC, changes: NICSpec) -> NIC:
    """Return a NIC with the given fields changed. Raises the errors of `make_nic`."""
    given = changes.model_fields_set
    place = {"bridge": "bridge", "direct": "device", "user": "user"}.get(old.type, "network")
    there = {place: True if place == "user" else old.network}
    asked = changes if changes.network or changes.bridge or changes.device or changes.user else changes.model_copy(update=there)
    new = make_nic(world, asked, old.mac)
    kept = {field: getattr(old, field) for field in CHANGEABLE if field not in given}
    if (new.type, new.network) != (old.type, old.network) and "portgroup" not in given:
        kept["portgroup"] = None  # it is one of the network that the NIC leaves
    changed: NIC = new.replace(**kept)
    return changed


CHANGEABLE = (
    "model",
    "link_up",
    "mtu",
    "vlan",
    "portgroup",
    "filter",
    "isolated",
    "inbound_bytes_per_second",
    "outbound_bytes_per_second",
)
"""The fields of a NIC's record that an update can change, except its network."""


def addressed(world: World, vm: SimVM) -> tuple[NIC, ...]:
    """Return a VM's NICs with their addresses while it runs."""
    if vm.status != "running":
        return vm.nics
    found = []
    for nic in vm.nics:
        network = world.networks.get(nic.network or "") if nic.type == "network" else None
        address = network.address(nic.mac) if network is not None and nic.link_up else None
        found.append(nic.replace(addresses=(address,)) if address else nic)
    return tuple(found)


__all__ = ["addressed", "changed_nic", "make_nic"]
