"""Simulated networks: their state and addresses."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from novacron.records.networks import Network

if TYPE_CHECKING:
    from novacron.specs.networks import NetworkSpec


class SimNetwork:
    """A network. The NIC of a running VM gets the first free address of its range.

    `_given` are the addresses of all leases. `_searched` is where the range starts and the first address that may be free, so that many VMs
    do not search the whole range each.
    """

    __slots__ = ("_given", "_searched", "active", "autostart", "bridge", "cidr", "id", "leases", "name", "spec", "type")

    def __init__(
        self, name: str, identity: str, *, type: str = "nat", bridge: str | None = None, cidr: str | None = None
    ) -> None:
        self.name, self.id, self.type, self.bridge, self.cidr = name, identity, type, bridge, cidr
        self.active = True
        self.autostart = True
        self.spec: NetworkSpec | None = None
        self.leases: dict[str, str] = {}
        self._given: set[str] = set()
        self._searched = 0, 0

    def address(self, mac: str) -> str | None:
        """Return the NIC's address, which stays the same; None if the network has no (free) address."""
        if mac in self.leases:
            return self.leases[mac]
        if not self.active or self.cidr is None:
            return None
        own = ipaddress.ip_interface(self.cidr)
        kept = {host.mac.lower(): str(host.address) for host in self.spec.dhcp_hosts} if self.spec else {}
        if mac in kept:
            return self._lease(mac, kept[mac])
        first, last = (self.spec.dhcp_start, self.spec.dhcp_end) if self.spec else (None, None)
        low = int(first) if first else int(own.network.network_address) + 2
        high = int(last) if last else int(own.network.broadcast_address) - 1
        if self._searched[0] != low:
            self._searched = low, low
        address = type(own.ip)
        for number in range(self._searched[1], min(high, low + 2**16) + 1):
            if number != int(own.ip) and (text := str(address(number))) not in self._given:
                self._searched = low, number + 1
                return self._lease(mac, text)
        return None

    def forget(self, mac: str | None = None) -> None:
        """Forget the address of a NIC, or of all NICs. It is free again."""
        for each in [mac] if mac is not None else list(self.leases):
            address = self.leases.pop(each, None)
            if address is not None:
                self._given.discard(address)
                self._searched = 0, 0

    def _lease(self, mac: str, address: str) -> str:
        self.leases[mac] = address
        self._given.add(address)
        return address

    def overlaps(self, cidr: str) -> bool:
        """Return whether the address ranges of two networks overlap."""
        if self.cidr is None:
            return False
        mine, other = ipaddress.ip_interface(self.cidr).network, ipaddress.ip_interface(cidr).network
        return mine.version == other.version and mine.overlaps(other)

    def record(self, host: str) -> Network:
        """Return the record."""
        spec = self.spec
        native = {
            f: getattr(spec, f)
            for f in ("device", "vlan", "openvswitch", "mtu")
            if spec and getattr(spec, f) not in (None, False)
        }
        if spec and spec.stp is not None:
            native["stp"] = spec.stp
        if spec and spec.forward_delay is not None:
            native["forward_delay"] = spec.forward_delay
        if spec and any(group.as_dict().keys() - {"name"} for group in spec.portgroups):
            native["portgroups"] = [group.as_dict() for group in spec.portgroups]
        return Network(
            name=self.name,
            host=host,
            active=self.active,
            id=self.id,
            type=self.type,
            bridge=self.bridge,
            autostart=self.autostart,
            cidrs=(self.cidr,) if self.cidr else (),
            native=native,
            domain=spec.domain if spec else None,
            portgroups=tuple(group.name for group in spec.portgroups) if spec else (),
            dhcp_ranges=((str(spec.dhcp_start), str(spec.dhcp_end)),) if spec and spec.dhcp_start else (),
            dhcp_hosts=tuple({k: str(v) for k, v in host.as_dict().items()} for host in spec.dhcp_hosts) if spec else (),
            dns_hosts=tuple(host.as_dict() for host in spec.dns_hosts) if spec else (),
        )


__all__ = ["SimNetwork"]
