"""Networks as asked for."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from novacron.specs.addresses import Address, HostAddress
from novacron.specs.nics import MAC
from novacron.specs.spec import FieldError, Label, Name, Rate, Spec

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]


class DHCPHostSpec(Spec):
    """An IP address that the DHCP server reserves for one NIC.

    Attributes:
        mac: MAC address of the NIC.
        address: IP address for it, within the network.
        hostname: Host name for it. Without it the guest uses its own name.
    """

    mac: MAC
    address: Address
    hostname: HostName | None = None


class DNSHostSpec(Spec):
    """Host names that the DNS server of a network knows.

    Attributes:
        address: IP address of the names.
        names: Host names of the address, at least one.
    """

    address: Address
    names: tuple[HostName, ...] = Field(min_length=1)


class PortGroupSpec(Spec):
    """A port group of a network: settings for the NICs that name it.

    Attributes:
        name: Name of the port group.
        default: Whether NICs that name no port group use this one. Default: false.
        vlan: VLAN number from 0 to 4095. Without it packets are not tagged.
        inbound_bytes_per_second: Most bytes per second that a NIC receives; a number or text such as "100MiB/s". Without it there
            is no limit.
        outbound_bytes_per_second: Most bytes per second that a NIC sends; a number or text such as "100MiB/s". Without it there
            is no limit.
    """

    name: Name
    default: bool = False
    vlan: int | None = Field(None, ge=0, le=4095)
    inbound_bytes_per_second: Rate | None = None
    outbound_bytes_per_second: Rate | None = None


class NetworkSpec(Spec):
    """A network of the host.

    "nat", "routed", "open" and "isolated" networks get a bridge of their own. "bridged" uses a bridge of the host, "macvtap" a
    device of the host.

    Attributes:
        name: Name of the network, which NICs refer to.
        type: "nat" hides guests behind the host's address, "routed" forwards their packets, "open" does so without firewall
            rules, "isolated" connects guests with each other and the host only; "bridged" and "macvtap" connect guests with the
            host's own network. Default: "nat".
        bridge: Bridge of the host. Needed for "bridged"; otherwise the name of the new bridge, which is chosen without it.
        device: Network device of the host, such as "eth0". Needed for "macvtap"; with "nat" and "routed" it limits forwarding to
            this device.
        cidr: Address of the host in the network with the prefix, such as "192.168.50.1/24". Without it the host has no address
            there.
        dhcp_start: First IP address that DHCP gives to guests. Without it and `dhcp_end` there is no range.
        dhcp_end: Last IP address that DHCP gives to guests.
        dhcp_hosts: IP addresses that DHCP reserves for certain NICs.
        dns_hosts: Host names that the DNS server of the network knows.
        domain: DNS domain of the network. Without it guests get none.
        portgroups: Port groups: named settings for NICs.
        vlan: VLAN number from 0 to 4095. Without it packets are not tagged.
        openvswitch: Whether `bridge` is a bridge of Open vSwitch, which can tag packets with a VLAN. Default: false.
        mtu: Largest packet in bytes (MTU). Without it the hypervisor's default is used, usually 1500.
        stp: Whether the network's own bridge uses the spanning tree protocol. Without it the hypervisor decides, on with libvirt.
            Switch it off if guests need the network at once and no guest joins two networks.
        forward_delay: Delay of the spanning tree protocol in seconds. A new NIC carries no packets for twice this time; Linux
            waits at least 2 seconds each time. Without it the hypervisor's default is used.
        autostart: Whether the network is started when the host boots. Default: true.

    Example:
        >>> spec = NetworkSpec(name="lan", cidr="10.0.5.1/24", dhcp_start="10.0.5.10", dhcp_end="10.0.5.99")
        >>> str(spec.cidr.network)
        '10.0.5.0/24'
    """

    name: Label
    type: Literal["nat", "routed", "isolated", "bridged", "open", "macvtap"] = "nat"
    bridge: Label | None = None
    device: Name | None = None
    cidr: HostAddress | None = None
    dhcp_start: Address | None = None
    dhcp_end: Address | None = None
    dhcp_hosts: tuple[DHCPHostSpec, ...] = ()
    dns_hosts: tuple[DNSHostSpec, ...] = ()
    domain: HostName | None = None
    portgroups: tuple[PortGroupSpec, ...] = ()
    vlan: int | None = Field(None, ge=0, le=4095)
    openvswitch: bool = False
    mtu: int | None = Field(None, ge=68, le=65535)
    stp: bool | None = None
    forward_delay: int | None = Field(None, ge=0, le=30)
    autostart: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.dhcp_start is None) != (self.dhcp_end is None):
            raise ValueError("both dhcp_start and dhcp_end, or neither")
        addresses = {"dhcp_start": self.dhcp_start, "dhcp_end": self.dhcp_end}
        addresses |= {f"dhcp_hosts.{n}.address": host.address for n, host in enumerate(self.dhcp_hosts)}
        for field, address in addresses.items():
            if address is None:
                continue
            if self.cidr is None:
                raise FieldError("cidr", f"an address range, which {field} needs")
            if address not in self.cidr.network or address in _edges(self.cidr.network):
                raise FieldError(field, f"an address of a host within {self.cidr.network}")
        if self.dhcp_start and self.dhcp_end and int(self.dhcp_start) > int(self.dhcp_end):
            raise FieldError("dhcp_start", "an address before dhcp_end")
        once: dict[str, list[Any]] = {
            "dns_hosts": [host.address for host in self.dns_hosts],
            "dhcp_hosts": [host.address for host in self.dhcp_hosts],
            "dhcp_hosts of one MAC address": [host.mac.lower() for host in self.dhcp_hosts if host.mac],
        }
        for field, values in once.items():
            if len(values) != len({*values}):
                raise FieldError(field.partition(" ")[0], "each address once, with all names that it has")
        if self.type == "macvtap" and not self.device:
            raise FieldError("device", "a device of the host, which a macvtap network needs")
        if self.openvswitch and self.type != "bridged":
            raise FieldError("openvswitch", 'false: only a network of type "bridged" uses Open vSwitch')
        for name in ("stp", "forward_delay"):
            if self.type in ("bridged", "macvtap") and getattr(self, name) is not None:
                raise FieldError(name, f"no value: a {self.type} network has no bridge of its own")
        if self.type == "bridged" and not self.bridge:
            raise FieldError("bridge", "a bridge of the host, which a bridged network needs")
        if self.type in ("bridged", "macvtap") and (self.cidr or self.dns_hosts or self.domain):
            raise ValueError(f"no cidr, dns_hosts or domain: a {self.type} network has no DHCP or DNS of its own")
        if sum(group.default for group in self.portgroups) > 1:
            raise ValueError("at most one default port group")
        return self


def _edges(network: IPv4Network | IPv6Network) -> tuple[object, ...]:
    """Return the addresses of a network that no host has."""
    if network.prefixlen >= network.max_prefixlen - 1:
        return ()
    return (network.network_address, network.broadcast_address) if network.version == 4 else (network.network_address,)


__all__ = ["DHCPHostSpec", "DNSHostSpec", "NetworkSpec", "PortGroupSpec"]
