"""Networks as asked for."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from novacron.specs.addresses import Address, HostAddress
from novacron.specs.nics import MAC
from novacron.specs.spec import FieldError, Label, Name, Rate, Spec

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]


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
    """A port group of a network. NICs name it; those that name none get the `default` one."""

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

    `stp` switches the spanning tree protocol of the network's own bridge on or off; None keeps the hypervisor's default, on with libvirt.
    With it a NIC carries no packets for the first two times `forward_delay` seconds (Linux waits at least 2 s each time). Switch it off
    if guests need the network at once and no guest joins two networks.

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
