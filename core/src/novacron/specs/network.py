"""NICs, networks and traffic filters as asked for."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import Name, Rate, Spec


class NICSpec(Spec):
    """A network interface on one of: a `network`, a `bridge` of the host, the host's own `device` (macvtap), or user mode.

    Example:
        >>> NICSpec(network="default").model
        'virtio'
    """

    network: Name | None = None
    bridge: Name | None = None
    device: Name | None = None
    user: bool = False
    mac: str | None = Field(None, pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")
    model: Literal["virtio", "e1000", "e1000e", "rtl8139", "igb"] = "virtio"
    mtu: int | None = Field(None, ge=68, le=65535)
    queues: int | None = Field(None, ge=1, le=256)
    link_up: bool = True
    vlan: int | None = Field(None, ge=0, le=4095)
    portgroup: Name | None = None
    filter: Name | None = None
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


class NetworkSpec(Spec):
    """A network of the host; `cidr` is the host's own address in it, "192.168.50.1/24"."""

    name: Name
    type: Literal["nat", "routed", "isolated", "bridged", "open", "macvtap"] = "nat"
    bridge: Name | None = None
    device: Name | None = None
    cidr: IPv4Interface | IPv6Interface | None = None
    dhcp_start: str | None = None
    dhcp_end: str | None = None
    vlan: int | None = Field(None, ge=0, le=4095)
    mtu: int | None = Field(None, ge=68, le=65535)
    autostart: bool = True


class TrafficFilterSpec(Spec):
    """A traffic filter: simple rules, or the hypervisor's own definition in `native`."""

    name: Name
    rules: tuple[dict[str, Any], ...] = ()
    native: str | None = None


__all__ = ["NICSpec", "NetworkSpec", "TrafficFilterSpec"]
