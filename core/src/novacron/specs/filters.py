"""Traffic filters as asked for."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import Literal, Self

from pydantic import Field, model_validator

from novacron.specs.addresses import AddressRange
from novacron.specs.nics import FilterName
from novacron.specs.spec import FieldError, Spec

MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as IPv6 has them within a machine."""


class FilterRule(Spec):
    """What happens to some packets. "in" packets come to the VM, "out" packets leave it.

    Attributes:
        action: What is done: "allow" lets the packet pass, "deny" drops it, "reject" drops it and tells the sender.
        direction: Packets to the VM ("in"), from the VM ("out") or both. Default: "both".
        protocol: Protocol of the packets. Default: "any".
        peer: Address or range of the other side, such as "10.0.0.0/8". Without it all addresses match.
        ports: Port or range of ports such as "22" or "8000-8080": the VM's own for "in", the peer's for "out". Without it all
            ports match.
        priority: Rules with a lower number are checked first. Default: 500.

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
        if self.peer is not None and isinstance(self.peer, IPv6Network) and self.peer.subnet_of(MAPPED):
            raise FieldError("peer", "an IPv4 range as such: no packet has an IPv4 address that is mapped to IPv6")
        version = {"icmp": 4, "icmpv6": 6}.get(self.protocol)
        if self.peer is not None and version not in (None, self.peer.version):
            other = "icmpv6" if version == 4 else "icmp"
            raise FieldError(
                "peer", f"an IPv{version} range for the protocol {self.protocol}; IPv{self.peer.version} has {other}"
            )
        return self


class TrafficFilterSpec(Spec):
    """A traffic filter: simple rules, or the hypervisor's own definition in `native`.

    Attributes:
        name: Name of the filter, by which NICs refer to it.
        rules: The rules. The one with the lowest priority is checked first.
        default: What happens to packets that no rule matches: "allow" or "deny". "deny" is for IP; ARP still works. Default:
            "allow".
        anti_spoofing: Whether packets leave the VM only with the NIC's own MAC and IP address. Default: false.
        native: The whole filter in the hypervisor's format instead of rules, such as libvirt's nwfilter XML.
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


__all__ = ["FilterRule", "TrafficFilterSpec"]
