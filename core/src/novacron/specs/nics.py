"""NICs as asked for."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import FieldError, Name, Rate, Reference, Spec

MAC = Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")]
FilterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}$")]
"""A traffic filter's name: letters, digits, `_ . : -`. NICs and other filters can't refer to one with other characters."""

INTERFACE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,14}$"
InterfaceName = Annotated[str, Field(pattern=INTERFACE_NAME)]
"""The name of a network interface of the host: 1 to 15 letters, digits, `_ . : -`, which is what the Linux kernel allows."""


class NICSpec(Spec):
    """A network interface. Exactly one of `network`, `bridge`, `device` and `user` says what it is connected to.

    Attributes:
        network: Network of the host, by name or by path.
        bridge: Bridge of the host, such as "br0".
        device: Network device of the host, such as "eth0", to which the NIC is connected directly (macvtap).
        user: Whether the NIC uses the user-mode network of the hypervisor, which needs no rights and can't be reached from
            outside. Default: false.
        mac: MAC address such as "52:54:00:12:34:56". Without it a free address is chosen.
        model: Model of the network card that the guest sees. Default: "virtio", the fastest, which needs a driver in the guest.
        mtu: Largest packet in bytes (MTU). Without it the NIC uses that of its network.
        queues: Number of queues that work in parallel, for guests with several vCPUs. Without it there is one.
        link_up: Whether the cable is plugged in. Default: true.
        vlan: VLAN number from 0 to 4095. Without it packets are not tagged.
        portgroup: Port group of the network. Without it the default one of the network is used, if it has one.
        filter: Name of a traffic filter. Without it all packets pass.
        isolated: Whether the NIC can't talk to other isolated NICs of its network, only to the host and beyond. Default: false.
        inbound_bytes_per_second: Most bytes per second that the NIC receives; a number or text such as "100MiB/s". Without it
            there is no limit.
        outbound_bytes_per_second: Most bytes per second that the NIC sends; a number or text such as "100MiB/s". Without it there
            is no limit.
        boot_order: Place in the boot order, from 1. Without it the VM does not boot from the network.

    Example:
        >>> NICSpec(network="default").model
        'virtio'
    """

    network: Reference | None = None
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
            raise FieldError("mac", "the address of one NIC (unicast): its second digit is even")
        return self


class NICUpdate(NICSpec):
    """Changes to a NIC. Only the fields that are given change; what the NIC is plugged into need not be given.

    Example:
        >>> sorted(NICUpdate(outbound_bytes_per_second="1MiB/s").model_fields_set)
        ['outbound_bytes_per_second']
    """

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(map(bool, (self.network, self.bridge, self.device, self.user))) > 1:
            raise ValueError("at most one of network, bridge, device, user")
        return self


__all__ = ["INTERFACE_NAME", "MAC", "FilterName", "InterfaceName", "NICSpec", "NICUpdate"]
