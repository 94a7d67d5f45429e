"""Simulated networks: their state, and the addresses that they give."""

from __future__ import annotations

import ipaddress

from novacron.records.network import Network


class SimNetwork:
    """A network. A running VM's NIC on it has the next free address of its range."""

    __slots__ = ("active", "autostart", "bridge", "cidr", "device", "id", "leases", "mtu", "name", "range", "type", "vlan")

    def __init__(
        self, name: str, identity: str, *, type: str = "nat", bridge: str | None = None, cidr: str | None = None
    ) -> None:
        self.name, self.id, self.type, self.bridge, self.cidr = name, identity, type, bridge, cidr
        self.active = True
        self.autostart = True
        self.device: str | None = None
        self.vlan: int | None = None
        self.mtu: int | None = None
        self.range: tuple[str, str] | None = None
        self.leases: dict[str, str] = {}

    def address(self, mac: str) -> str | None:
        """Return the NIC's address, given once and kept; None when the network has none (left)."""
        if mac in self.leases:
            return self.leases[mac]
        if not self.active or self.cidr is None:
            return None
        own = ipaddress.ip_interface(self.cidr)
        low = int(ipaddress.ip_address(self.range[0])) if self.range else int(own.network.network_address) + 2
        high = int(ipaddress.ip_address(self.range[1])) if self.range else int(own.network.broadcast_address) - 1
        taken = {int(ipaddress.ip_address(a)) for a in self.leases.values()} | {int(own.ip)}
        free = next((n for n in range(low, min(high, low + 2**16) + 1) if n not in taken), None)
        if free is None:
            return None
        self.leases[mac] = str(type(own.ip)(free))
        return self.leases[mac]

    def overlaps(self, cidr: str) -> bool:
        """Whether another network's range meets this one's."""
        if self.cidr is None:
            return False
        mine, other = ipaddress.ip_interface(self.cidr).network, ipaddress.ip_interface(cidr).network
        return mine.version == other.version and mine.overlaps(other)

    def record(self, host: str) -> Network:
        """Return what is reported of it."""
        native = {k: v for k, v in (("device", self.device), ("vlan", self.vlan), ("mtu", self.mtu)) if v is not None}
        return Network(
            name=self.name, host=host, active=self.active, id=self.id, type=self.type, bridge=self.bridge, autostart=self.autostart,
            cidrs=(self.cidr,) if self.cidr else (), native=native,
        )  # fmt: skip


__all__ = ["SimNetwork"]
