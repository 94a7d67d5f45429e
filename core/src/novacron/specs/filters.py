"""Traffic filters as asked for."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from novacron.specs.addresses import AddressRange
from novacron.specs.nics import FilterName
from novacron.specs.spec import FieldError, Spec


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


__all__ = ["FilterRule", "TrafficFilterSpec"]
