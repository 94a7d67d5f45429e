"""Networks and DHCP leases."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record


class Network(Record, frozen=True):
    """A network that NICs attach to."""

    name: str
    host: str
    active: bool
    id: str | None = None
    type: str = "nat"
    bridge: str | None = None
    autostart: bool = False
    cidrs: tuple[str, ...] = ()
    portgroups: tuple[str, ...] = ()
    dhcp_ranges: tuple[tuple[str, str], ...] = ()
    dhcp_hosts: tuple[dict[str, str], ...] = ()
    dns_hosts: tuple[dict[str, Any], ...] = ()
    domain: str | None = None
    native: dict[str, Any] = msgspec.field(default_factory=dict)


class DHCPLease(Record, frozen=True):
    """An address that a network gave to a NIC."""

    network: str
    mac: str
    address: str
    hostname: str | None = None
    expires_at: str | None = None


__all__ = ["DHCPLease", "Network"]
