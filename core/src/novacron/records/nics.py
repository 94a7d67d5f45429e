"""NICs of a VM, and MAC addresses that several NICs have."""

from __future__ import annotations

import ipaddress
from typing import Literal, Self

from novacron.records.record import Record


class NIC(Record, frozen=True):
    """A network interface of a VM. Its MAC address identifies it.

    Attributes:
        mac: MAC address.
        type: What it is connected to, such as "network", "bridge" or "user".
        network: Name of the network, or of the bridge or device of the host; None if there is none.
        model: Model of the network card that the guest sees; None if unknown.
        target: Name of its network interface on the host, such as "vnet3"; None while the VM does not run.
        link_up: Whether the cable is plugged in.
        mtu: Largest packet in bytes (MTU); None for the default.
        vlan: VLAN number; None without one, and for a trunk.
        vlan_trunk: VLAN numbers that a trunk carries; empty if it is no trunk.
        portgroup: Port group of the network; None without one.
        filter: Name of its traffic filter; None without one.
        isolated: Whether it can't talk to other isolated NICs of its network.
        inbound_bytes_per_second: Most bytes per second that it receives; None is no limit.
        outbound_bytes_per_second: Most bytes per second that it sends; None is no limit.
        addresses: IP addresses that the hypervisor or the guest reported.
    """

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
        vm: Id of the VM.
        mac: MAC address of the NIC.
        address: IP address without a prefix.
        family: "ipv4" or "ipv6".
        source: Who reported it: "agent" (the guest agent), "lease" (a DHCP server of the host), "arp" (the host's neighbour
            table) or "tools" (VMware Tools).
        prefix: Length of the network's prefix in bits; None if it is not known.
        interface: Name of the interface in the guest; None if it is not known.
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
    """A MAC address that several NICs of a fleet have.

    Attributes:
        mac: The MAC address.
        vms: The VMs as "host/name", one entry per NIC.
    """

    mac: str
    vms: tuple[str, ...]


__all__ = ["AddressSource", "MACClash", "NIC", "NICAddress"]
