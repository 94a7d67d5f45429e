"""What a NIC of a VM needs before it is made: a MAC address that is free, and a network, port group and filter that are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, InvalidStateError, SpecProblem
from novacron.macs import MACAddresses
from novacron_kvm.xml.devices.nic import spec_place
from novacron_kvm.xml.parsing import parse

if TYPE_CHECKING:
    from novacron.specs.nics import NICSpec


WITHOUT = {
    "user": ("filter", "isolated", "mtu", "vlan", "portgroup", "inbound_bytes_per_second", "outbound_bytes_per_second"),
    "direct": ("filter", "isolated", "portgroup"),
    "bridge": ("portgroup",),
}
"""What NICs of these types can't have. libvirt ignores most of it: a filter of such a NIC lets all packets pass."""


def refuse_unusable_network(
    connection: Any, spec: NICSpec, *, kind: str | None = None, model: str = "", prefix: str = ""
) -> None:
    """Refuse a network, port group or filter that is not there or not in use, and what a NIC of this type or model can't have.

    Args:
        connection: the host's connection.
        spec: the NIC, or what is to change of it.
        kind: libvirt's type of the NIC; what the spec asks for when None.
        model: model of a NIC that is changed.
        prefix: what stands before the names of its fields in errors.

    Raises:
        InvalidSpecError: with a problem for each field that can't be in force.
        InvalidStateError: the network is not active.
        NetworkNotFoundError: no such network or filter.
    """
    if problems := [*_without_effect(spec, kind or spec_place(spec)[0], model or spec.model, prefix)]:
        raise InvalidSpecError("libvirt can't give a VM that NIC", problems=problems)
    if spec.network:
        network = connection.networkLookupByName(spec.network)
        if not network.isActive():
            raise InvalidStateError(f"the network {spec.network!r} is not active", resource=spec.network, hint="start it first")
        if spec.portgroup:
            groups = [g.get("name") for g in parse(network.XMLDesc(0)).iterfind("portgroup")]
            if spec.portgroup not in groups:
                problem = SpecProblem(
                    f"{prefix}portgroup", spec.portgroup, f"one of {', '.join(groups) or 'none: the network has none'}"
                )
                raise InvalidSpecError(
                    f"no such port group of the network {spec.network!r}", problems=[problem], resource=spec.network
                )
    if spec.filter:
        connection.nwfilterLookupByName(spec.filter)


def _without_effect(spec: NICSpec, kind: str, model: str, prefix: str) -> Iterator[SpecProblem]:
    for field in WITHOUT.get(kind, ()):
        if value := getattr(spec, field):
            yield SpecProblem(f"{prefix}{field}", str(value), f"left out: a NIC of type {kind} has none")
    if spec.queues and model != "virtio":
        yield SpecProblem(
            f"{prefix}queues", str(spec.queues), f"left out: a NIC of the model {model} has one queue, only virtio has more"
        )


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
