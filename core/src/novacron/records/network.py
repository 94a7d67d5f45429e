"""Networks, DHCP leases and traffic filters."""

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


class MACClash(Record, frozen=True):
    """A MAC address that several NICs of a fleet have; `vms` are their VMs as "host/name", one for each NIC."""

    mac: str
    vms: tuple[str, ...]


class TrafficFilter(Record, frozen=True):
    """A set of rules that NICs refer to; `rules` as in `FilterRule`, what those can't say as {"native": ...}."""

    name: str
    host: str
    rules: tuple[dict[str, Any], ...] = ()
    default: str = "allow"
    anti_spoofing: bool = False
    id: str | None = None


__all__ = ["DHCPLease", "MACClash", "Network", "TrafficFilter"]
