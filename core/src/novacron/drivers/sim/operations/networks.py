"""Networks and their DHCP leases."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.networks import SimNetwork
from novacron.drivers.sim.state.nics import addressed
from novacron.errors import (
    AlreadyExistsError,
    InvalidSpecError,
    InvalidStateError,
    NetworkNotFoundError,
    SpecProblem,
)
from novacron.records.networks import DHCPLease, Network
from novacron.records.vm import Deleted

if TYPE_CHECKING:
    from novacron.specs.networks import NetworkSpec

LEASE_HOURS = 1
STOPPED_ONLY = {"type", "bridge", "device", "cidr", "vlan", "openvswitch", "mtu", "stp", "forward_delay", "domain"}
"""Properties that can only be changed while the network is stopped."""


STOP_FIRST = "stop them, or move their NICs to another network, first"


class SimNetworks(Area):
    """Creates, changes and deletes networks; lists leases."""

    @simulated
    def network_list(self) -> list[Network]:
        """List all networks."""
        with self.world.lock:
            return [network.record(self.connection.name) for _, network in sorted(self.world.networks.items())]

    @simulated
    def network_get(self, network: str) -> Network:
        """Return one network."""
        with self.world.lock:
            return self._find(network).record(self.connection.name)

    @simulated
    def network_create(self, spec: NetworkSpec) -> Network:
        """Create and start a network."""
        with self.world.lock:
            if spec.name in self.world.networks:
                raise AlreadyExistsError(
                    f"a network {spec.name!r} is already there", resource=spec.name, hint="choose another name"
                )
            made = SimNetwork(spec.name, self.world.new_id())
            self._apply(made, spec)
            self.world.networks[spec.name] = made
            self.world.tell("network.defined", resource=spec.name)
            return made.record(self.connection.name)

    @simulated
    def network_update(self, network: str, spec: NetworkSpec) -> Network:
        """Change the given properties. Connected NICs stay connected."""
        with self.world.lock:
            found = self._find(network)
            if spec.name != network:
                problem = SpecProblem("name", spec.name, network)
                raise InvalidSpecError("a network keeps its name", problems=[problem], resource=network)
            if found.active and (wrong := sorted(self._changed(found, spec) & STOPPED_ONLY)):
                raise InvalidStateError(
                    f"can't change {', '.join(wrong)} of the network {network!r}: it is active",
                    resource=network,
                    hint="stop it first",
                )
            self._apply(found, spec)
            return found.record(self.connection.name)

    @simulated
    def network_start(self, network: str) -> Network:
        """Start a network."""
        return self._set_active(network, True)

    @simulated
    def network_stop(self, network: str) -> Network:
        """Stop a network."""
        self._refuse_used(network, "stop")
        return self._set_active(network, False)

    @simulated
    def network_delete(self, network: str) -> Deleted:
        """Delete a network that no VM uses."""
        with self.world.lock:
            self._refuse_used(network, "delete", stopped=True)
            found = self._find(network)
            del self.world.networks[network]
            self.world.tell("network.deleted", resource=network)
            return Deleted(name=network, id=found.id, removed=(f"definition of {network}",))

    @simulated
    def lease_list(self, network: str) -> list[DHCPLease]:
        """List the addresses of running VMs."""
        with self.world.lock:
            self._find(network)
            expires = (datetime.now(UTC) + timedelta(hours=LEASE_HOURS)).isoformat(timespec="seconds")
            found = [
                DHCPLease(network=network, mac=nic.mac, address=nic.addresses[0], hostname=vm.name, expires_at=expires)
                for vm in self.world.all()
                for nic in addressed(self.world, vm)
                if nic.network == network and nic.addresses
            ]
            return sorted(found, key=lambda lease: ipaddress.ip_address(lease.address).packed)

    def _find(self, network: str) -> SimNetwork:
        found = self.world.networks.get(network)
        if found is None:
            raise NetworkNotFoundError(
                f"no network {network!r}", resource=network, hint=f"there are: {', '.join(sorted(self.world.networks)) or 'none'}"
            )
        return found

    def _apply(self, network: SimNetwork, spec: NetworkSpec) -> None:
        others = [other for other in self.world.networks.values() if other is not network]
        cidr = str(spec.cidr) if spec.cidr else None
        taken = {other.bridge for other in others}
        own = spec.bridge or network.bridge
        if spec.bridge in taken and spec.bridge and spec.type != "bridged":
            raise AlreadyExistsError(
                f"the bridge {spec.bridge!r} is another network's", resource=spec.name, hint="choose another bridge"
            )
        for other in others:
            if cidr and other.overlaps(cidr):
                raise AlreadyExistsError(
                    f"the address range {cidr} overlaps that of the network {other.name!r}, {other.cidr}",
                    resource=spec.name,
                    hint="choose another range",
                )
        if own is None and spec.type != "macvtap":
            own = next(name for number in range(len(taken) + 1) if (name := f"virbr{number}") not in taken)
        if cidr != network.cidr:
            network.forget()
        network.bridge = own
        given = spec.model_fields_set | ({"type", "autostart"} if network.spec is None else set())
        network.spec = spec if network.spec is None else network.spec.model_copy(update={f: getattr(spec, f) for f in given})
        network.type, network.cidr, network.autostart = network.spec.type, cidr or network.cidr, network.spec.autostart

    def _changed(self, network: SimNetwork, spec: NetworkSpec) -> set[str]:
        return {f for f in spec.model_fields_set if network.spec is None or getattr(spec, f) != getattr(network.spec, f)}

    def _refuse_used(self, network: str, verb: str, *, stopped: bool = False) -> None:
        """Raise an error if NICs of VMs are on a network; those of stopped VMs count if they could not start without it."""
        with self.world.lock:
            self._find(network)
            users = sorted(
                vm.name
                for vm in self.world.all()
                if (vm.active or stopped) and any(n.type == "network" and n.network == network for n in vm.nics)
            )
            if users:
                raise InvalidStateError(
                    f"can't {verb} the network {network!r}: {', '.join(users[:5])} {'is' if len(users) == 1 else 'are'} on it",
                    resource=network,
                    hint="move their NICs to another network first" if stopped else STOP_FIRST,
                )

    def _set_active(self, network: str, active: bool) -> Network:
        with self.world.lock:
            found = self._find(network)
            found.active = active
            return found.record(self.connection.name)


__all__ = ["SimNetworks"]
