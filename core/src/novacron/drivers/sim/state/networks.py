"""Simulated networks: their state and addresses."""

from __future__ import annotations

import ipaddress

from novacron.records.networks import Network
from novacron.specs.networks import NetworkSpec


class SimNetwork:
    """A network. The NIC of a running VM gets the next free address of its range."""

    __slots__ = ("active", "autostart", "bridge", "cidr", "id", "leases", "name", "spec", "type")

    def __init__(
        self, name: str, identity: str, *, type: str = "nat", bridge: str | None = None, cidr: str | None = None
    ) -> None:
        self.name, self.id, self.type, self.bridge, self.cidr = name, identity, type, bridge, cidr
        self.active = True
        self.autostart = True
        self.spec: NetworkSpec | None = None
        self.leases: dict[str, str] = {}

    def address(self, mac: str) -> str | None:
        """Return the NIC's address, which stays the same; None if the network has no (free) address."""
        if mac in self.leases:
            return self.leases[mac]
        if not self.active or self.cidr is None:
            return None
        own = ipaddress.ip_interface(self.cidr)
        kept = {host.mac.lower(): str(host.address) for host in self.spec.dhcp_hosts} if self.spec else {}
        if mac in kept:
            self.leases[mac] = kept[mac]
            return kept[mac]
        first, last = (self.spec.dhcp_start, self.spec.dhcp_end) if self.spec else (None, None)
        low = int(first) if first else int(own.network.network_address) + 2
        high = int(last) if last else int(own.network.broadcast_address) - 1
        taken = {int(ipaddress.ip_address(a)) for a in self.leases.values()} | {int(own.ip)}
        free = next((n for n in range(low, min(high, low + 2**16) + 1) if n not in taken), None)
        if free is None:
            return None
        self.leases[mac] = str(type(own.ip)(free))
        return self.leases[mac]

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
