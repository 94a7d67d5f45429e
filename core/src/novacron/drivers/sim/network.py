"""Networks, their leases, and traffic filters."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.networks import SimNetwork
from novacron.drivers.sim.nics import addressed
from novacron.errors import (
    AlreadyExistsError,
    InvalidSpecError,
    InvalidStateError,
    NetworkNotFoundError,
    SpecProblem,
    TrafficFilterNotFoundError,
)
from novacron.records.network import DHCPLease, Network, TrafficFilter
from novacron.records.vm import Deleted
from novacron.specs.network import NetworkSpec, TrafficFilterSpec

LEASE_HOURS = 1


class SimNetworks(Area):
    """Makes, changes and deletes networks; lists leases."""

    @simulated
    def network_list(self) -> list[Network]:
        """List all networks."""
        with self.world.lock:
            return [network.record(self.connection.name) for _, network in sorted(self.world.networks.items())]

    @simulated
    def network_get(self, network: str) -> Network:
        """Return one."""
        with self.world.lock:
            return self._find(network).record(self.connection.name)

    @simulated
    def network_create(self, spec: NetworkSpec) -> Network:
        """Make and start a network."""
        with self.world.lock:
            if spec.name in self.world.networks:
                raise AlreadyExistsError(
                    f"a network {spec.name!r} is already there", resource=spec.name, hint="give another name"
                )
            made = SimNetwork(spec.name, self.world.new_id())
            self._apply(made, spec)
            self.world.networks[spec.name] = made
            self.world.tell("network.defined", resource=spec.name)
            return made.record(self.connection.name)

    @simulated
    def network_update(self, network: str, spec: NetworkSpec) -> Network:
        """Change a network; those connected to it stay so."""
        with self.world.lock:
            found = self._find(network)
            if spec.name != network:
                problem = SpecProblem("name", spec.name, network)
                raise InvalidSpecError("a network keeps its name", problems=[problem], resource=network)
            self._apply(found, spec)
            return found.record(self.connection.name)

    @simulated
    def network_start(self, network: str) -> Network:
        """Let a network be used."""
        return self._set_active(network, True)

    @simulated
    def network_stop(self, network: str) -> Network:
        """Let a network not be used."""
        return self._set_active(network, False)

    @simulated
    def network_delete(self, network: str) -> Deleted:
        """Forget a network; VMs that name it can't start until there is one of that name again."""
        with self.world.lock:
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
                f"the bridge {spec.bridge!r} is another network's", resource=spec.name, hint="give another bridge"
            )
        for other in others:
            if cidr and other.overlaps(cidr):
                raise AlreadyExistsError(
                    f"the address range {cidr} overlaps that of the network {other.name!r}, {other.cidr}", resource=spec.name,
                    hint="give another range",
                )  # fmt: skip
        wanted = self._range(spec)
        if own is None and spec.type != "macvtap":
            own = next(name for number in range(len(taken) + 1) if (name := f"virbr{number}") not in taken)
        if cidr != network.cidr:
            network.leases.clear()
        network.type, network.cidr, network.bridge, network.range = spec.type, cidr, own, wanted
        network.device, network.vlan, network.mtu, network.autostart = spec.device, spec.vlan, spec.mtu, spec.autostart

    def _range(self, spec: NetworkSpec) -> tuple[str, str] | None:
        given = {"dhcp_start": spec.dhcp_start, "dhcp_end": spec.dhcp_end}
        if not any(given.values()):
            return None
        problems = []
        for field, text in given.items():
            try:
                fits = bool(text) and spec.cidr is not None and ipaddress.ip_address(text or "") in spec.cidr.network
            except ValueError:
                fits = False
            if not fits:
                problems.append(SpecProblem(field, str(text), f"an address in {spec.cidr.network if spec.cidr else 'cidr'}"))
        if problems:
            raise InvalidSpecError("invalid NetworkSpec", problems=problems, resource=spec.name)
        return str(spec.dhcp_start), str(spec.dhcp_end)

    def _set_active(self, network: str, active: bool) -> Network:
        with self.world.lock:
            found = self._find(network)
            found.active = active
            return found.record(self.connection.name)


class SimFilters(Area):
    """Keeps traffic filters; nothing is filtered, for nothing is sent."""

    @simulated
    def filter_list(self) -> list[TrafficFilter]:
        """List all filters."""
        with self.world.lock:
            return [self._record(name) for name in sorted(self.world.filters)]

    @simulated
    def filter_get(self, filter: str) -> TrafficFilter:
        """Return one."""
        with self.world.lock:
            return self._record(filter)

    @simulated
    def filter_create(self, spec: TrafficFilterSpec) -> TrafficFilter:
        """Keep a filter."""
        with self.world.lock:
            if spec.name in self.world.filters:
                raise AlreadyExistsError(f"a traffic filter {spec.name!r} is already there", resource=spec.name)
            self.world.filters[spec.name] = (self.world.new_id(), spec.rules)
            return self._record(spec.name)

    @simulated
    def filter_delete(self, filter: str) -> Deleted:
        """Forget a filter that no NIC uses."""
        with self.world.lock:
            found = self._record(filter)
            used = next((vm.name for vm in self.world.vms.values() if filter in vm.filters.values()), None)
            if used is not None:
                raise InvalidStateError(
                    f"can't delete the traffic filter {filter!r}: a NIC of {used!r} uses it",
                    resource=filter,
                    hint="change that NIC first",
                )
            del self.world.filters[filter]
            return Deleted(name=filter, id=found.id)

    def _record(self, name: str) -> TrafficFilter:
        found = self.world.filters.get(name)
        if found is None:
            raise TrafficFilterNotFoundError(
                f"no traffic filter {name!r}", resource=name, hint=f"there are: {', '.join(sorted(self.world.filters)) or 'none'}"
            )
        return TrafficFilter(name=name, host=self.connection.name, id=found[0], rules=found[1])


__all__ = ["SimFilters", "SimNetworks"]
