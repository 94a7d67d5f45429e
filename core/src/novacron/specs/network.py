"""NICs, networks and traffic filters as asked for."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from novacron.specs.addresses import Address, AddressRange, HostAddress
from novacron.specs.spec import FieldError, Label, Name, Rate, Spec

MAC = Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]

FilterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}$")]
"""A traffic filter's name: letters, digits, `_ . : -`. NICs and other filters can't refer to one with other characters."""

InterfaceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,14}$")]
"""The name of a network interface of the host: 1 to 15 letters, digits, `_ . : -`, which is what the Linux kernel allows."""


class NICSpec(Spec):
    """A network interface on one of: a `network`, a `bridge` of the host, the host's own `device` (macvtap), or user mode.

    `isolated` lets it talk to the host and beyond, not to other isolated NICs of its network. `filter` names a traffic filter.

    Example:
        >>> NICSpec(network="default").model
        'virtio'
    """

    network: Label | None = None
    bridge: InterfaceName | None = None
    device: InterfaceName | None = None
    user: bool = False
    mac: str | None = Field(None, pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")
    model: Literal["virtio", "e1000", "e1000e", "rtl8139", "igb"] = "virtio"
    mtu: int | None = Field(None, ge=68, le=65535)
    queues: int | None = Field(None, ge=1, le=256)
    link_up: bool = True
    vlan: int | None = Field(None, ge=0, le=4095)
    portgroup: Name | None = None
    filter: FilterName | None = None
    isolated: bool = False
    inbound_bytes_per_second: Rate | None = None
    outbound_bytes_per_second: Rate | None = None
    boot_order: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(map(bool, (self.network, self.bridge, self.device, self.user))) != 1:
            raise ValueError("exactly one of network, bridge, device, user")
        if self.mac and int(self.mac[:2], 16) & 1:
            raise ValueError("a unicast MAC address")
        return self


class DHCPHostSpec(Spec):
    """An address that is kept for one NIC."""

    mac: MAC
    address: Address
    hostname: HostName | None = None


class DNSHostSpec(Spec):
    """Names that a network's DNS server knows."""

    address: Address
    names: tuple[HostName, ...] = Field(min_length=1)


class PortGroupSpec(Spec):
    """A kind of NIC on a network, by whose name it is asked for; the `default` one is for NICs that ask for none."""

    name: Name
    default: bool = False
    vlan: int | None = Field(None, ge=0, le=4095)
    inbound_bytes_per_second: Rate | None = None
    outbound_bytes_per_second: Rate | None = None


class NetworkSpec(Spec):
    """A network of the host; `cidr` is the host's own address in it, "192.168.50.1/24".

    "nat", "routed", "open" (no firewall rules) and "isolated" networks have a bridge of their own, made with the network; "bridged" uses
    the `bridge` that is there (of Open vSwitch's, which tags packets with a `vlan`, if `openvswitch`), "macvtap" the host's `device`. DHCP
    is given from `dhcp_start` to `dhcp_end`, and to `dhcp_hosts`.

    Example:
        >>> spec = NetworkSpec(name="lan", cidr="10.0.5.1/24", dhcp_start="10.0.5.10", dhcp_end="10.0.5.99")
        >>> str(spec.cidr.network)
        '10.0.5.0/24'
    """

    name: Name
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
        if self.type == "macvtap" and not self.device:
            raise FieldError("device", "a device of the host, which a macvtap network needs")
        if self.openvswitch and self.type != "bridged":
            raise FieldError("openvswitch", 'false: only a network of type "bridged" uses Open vSwitch')
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


class FilterRule(Spec):
    """What is to happen to some packets, as the VM sees them: "in" comes to it, "out" goes from it.

    `peer` is the other side's address or range. `ports` ("22", "8000-8080") are the VM's own for "in" and the peer's for "out". Lower
    `priority` is looked at first.

    Example:
        >>> FilterRule(action="allow", direction="in", protocol="tcp", ports="22", peer="10.0.0.0/8").ports
        '22'
    """

    action: Literal["allow", "deny", "reject"]
    direction: Literal["in", "out", "both"] = "both"
    protocol: Literal["any", "tcp", "udp", "icmp", "icmpv6", "sctp"] = "any"
    peer: AddressRange | None = None
    ports: str | None = Field(None, pattern=r"^[0-9]{1,5}(-[0-9]{1,5})?$")
    priority: int = Field(500, ge=-1000, le=1000)

    @model_validator(mode="after")
    def _ports_exist(self) -> Self:
        if self.ports:
            if self.protocol not in ("tcp", "udp", "sctp"):
                raise FieldError("ports", "nothing: only the protocols tcp, udp and sctp have ports")
            first, _, last = self.ports.partition("-")
            if not 0 < int(first) <= int(last or first) < 65536:
                raise FieldError("ports", "ports from 1 to 65535, the lower one first")
        return self

    @model_validator(mode="after")
    def _peer_of_the_protocol(self) -> Self:
        version = {"icmp": 4, "icmpv6": 6}.get(self.protocol)
        if self.peer is not None and version not in (None, self.peer.version):
            other = "icmpv6" if version == 4 else "icmp"
            raise FieldError(
                "peer", f"an IPv{version} range for the protocol {self.protocol}; IPv{self.peer.version} has {other}"
            )
        return self


class TrafficFilterSpec(Spec):
    """A traffic filter: simple rules, or the hypervisor's own definition in `native`.

    `default` is what happens to packets that no rule is about ("deny" means IP; ARP still works). `anti_spoofing` lets out only packets
    with the NIC's own MAC and IP address.
    """

    name: FilterName
    rules: tuple[FilterRule, ...] = ()
    default: Literal["allow", "deny"] = "allow"
    anti_spoofing: bool = False
    native: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.native and (self.rules or self.anti_spoofing or self.default == "deny"):
            raise ValueError("either native or rules, not both")
        return self


__all__ = ["DHCPHostSpec", "DNSHostSpec", "FilterRule", "NICSpec", "NetworkSpec", "PortGroupSpec", "TrafficFilterSpec"]
