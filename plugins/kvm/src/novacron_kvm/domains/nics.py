"""What a NIC of a VM needs before it is made: a MAC address that is free, and a network, port group and filter that are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, InvalidStateError, SpecProblem
from novacron.macs import MACAddresses
from novacron_kvm.xml.parsing import parse

if TYPE_CHECKING:
    from novacron.specs.nics import NICSpec


def refuse_unusable_network(connection: Any, spec: NICSpec) -> None:
    """Refuse a network, port group or filter that is not there or not in use."""
    if spec.network:
        network = connection.networkLookupByName(spec.network)
        if not network.isActive():
            raise InvalidStateError(f"the network {spec.network!r} is not active", resource=spec.network, hint="start it first")
        if spec.portgroup:
            groups = [g.get("name") for g in parse(network.XMLDesc(0)).iterfind("portgroup")]
            if spec.portgroup not in groups:
                problem = SpecProblem("portgroup", spec.portgroup, f"one of {', '.join(groups) or 'none: the network has none'}")
                raise InvalidSpecError(
                    f"no such port group of the network {spec.network!r}", problems=[problem], resource=spec.network
                )
    if spec.filter:
        connection.nwfilterLookupByName(spec.filter)


def macs_in_use(connection: Any) -> dict[str, str]:
    """Return the MAC addresses of all VMs of a host, each with its VM's name."""
    found = {}
    for domain in connection.listAllDomains(0):
        for element in parse(domain.XMLDesc(0)).iterfind("devices/interface/mac"):
            found[element.get("address", "").lower()] = domain.name()
    return found


def with_mac_addresses(nics: Sequence[NICSpec], macs: MACAddresses) -> tuple[NICSpec, ...]:
    """Return the NICs of a new VM, each with a MAC address."""
    return tuple(nic if nic.mac else nic.model_copy(update={"mac": macs.new()}) for nic in nics)


__all__ = ["macs_in_use", "refuse_unusable_network", "with_mac_addresses"]
