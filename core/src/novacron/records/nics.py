"""NICs of a VM, and MAC addresses that several NICs have."""

from __future__ import annotations

import ipaddress
from typing import Literal, Self

from novacron.records.record import Record


class NIC(Record, frozen=True):
    """A network interface of a VM, named by its MAC address. A trunk carries the VLANs of `vlan_trunk`; its `vlan` is None."""

    mac: str
    type: str = "network"
    network: str | None = None
    model: str | None = None
    target: str | None = None
    link_up: bool = True
    mtu: int | None = None
    vlan: int | None = None
    vlan_trunk: tuple[int, ...] = ()
    portgroup: str | None = None
    filter: str | None = None
    isolated: bool = False
    inbound_bytes_per_second: int | None = None
    outbound_bytes_per_second: int | None = None
    addresses: tuple[str, ...] = ()


AddressSource = Literal["agent", "lease", "arp", "tools"]
"""Who reports an address: the guest agent, a DHCP server of the host, the host's neighbour table, VMware Tools."""


class NICAddress(Record, frozen=True):
    """An IP address of a VM's NIC.

    Attributes:
        vm: the VM's id.
        mac: the NIC's MAC address.
        address: the address without a prefix.
        family: "ipv4" or "ipv6".
        source: which source reported it.
        prefix: the length of the network's prefix, None if it is not known.
        interface: the interface's name in the guest, None if it is not known.
    """

    vm: str
    mac: str
    address: str
    family: Literal["ipv4", "ipv6"]
    source: AddressSource
    prefix: int | None = None
    interface: str | None = None

    @classmethod
    def usable(
        cls, *, vm: str, mac: str, address: str, source: AddressSource, prefix: int | None = None, interface: str | None = None
    ) -> Self | None:
        """Return the record of an address by which others reach the guest; None for link-local, loopback and other addresses.

        Example:
            >>> NICAddress.usable(vm="1", mac="52:54:00:00:00:01", address="fe80::1", source="agent") is None
            True
            >>> NICAddress.usable(vm="1", mac="52:54:00:00:00:01", address="10.0.0.5", source="lease").family
            'ipv4'
        """
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None  # a guest reports whatever it likes
        if parsed.is_link_local or parsed.is_loopback or parsed.is_multicast or parsed.is_unspecified:
            return None
        return cls(
            vm=vm,
            mac=mac.lower(),
            address=str(parsed),
            family="ipv4" if parsed.version == 4 else "ipv6",
            source=source,
            prefix=prefix,
            interface=interface,
        )


class MACClash(Record, frozen=True):
    """A MAC address that several NICs of a fleet have. `vms` lists their VMs as "host/name", one entry per NIC."""

    mac: str
    vms: tuple[str, ...]


__all__ = ["AddressSource", "MACClash", "NIC", "NICAddress"]
