"""Networks and DHCP leases."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record


class Network(Record, frozen=True):
    """A network that NICs attach to.

    Attributes:
        name: Name of the network.
        host: Name of the host.
        active: Whether the network is started.
        id: Id of the network; None if the hypervisor has none.
        type: Type of the network, such as "nat" or "bridged".
        bridge: Bridge of the host; None if it has none.
        autostart: Whether it is started when the host boots.
        cidrs: Addresses of the host in the network, with the prefix, such as "192.168.50.1/24".
        portgroups: Names of its port groups.
        dhcp_ranges: First and last IP address of each DHCP range.
        dhcp_hosts: IP addresses that DHCP reserves for certain NICs, with the fields of `DHCPHostSpec`.
        dns_hosts: Host names that its DNS server knows, with the fields of `DNSHostSpec`.
        domain: DNS domain; None without one.
        native: Further values in the hypervisor's own words.
    """

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
    """An IP address that a network gave to a NIC.

    Attributes:
        network: Name of the network.
        mac: MAC address of the NIC.
        address: IP address.
        hostname: Host name that the guest sent; None if it sent none.
        expires_at: When the lease ends, as UTC in ISO 8601; None if it never does.
    """

    network: str
    mac: str
    address: str
    hostname: str | None = None
    expires_at: str | None = None


__all__ = ["DHCPLease", "Network"]
