"""NICs: new ones, and changes to those that are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from novacron_kvm.xml.markup import NOTHING, Markup, element
from novacron_kvm.xml.parsing import parse

if TYPE_CHECKING:
    from novacron.specs.nics import NICSpec


def _source(spec: NICSpec) -> Markup:
    if spec.network:
        return element("source", network=spec.network, portgroup=spec.portgroup)
    if spec.bridge:
        return element("source", bridge=spec.bridge)
    return element("source", dev=spec.device, mode="bridge") if spec.device else NOTHING


def _vlan(spec: NICSpec) -> Markup:
    return NOTHING if spec.vlan is None else element("vlan", element("tag", id=spec.vlan))


def _filter(spec: NICSpec) -> Markup:
    return element("filterref", filter=spec.filter) if spec.filter else NOTHING


def _bandwidth(spec: NICSpec) -> Markup:
    rates = (("inbound", spec.inbound_bytes_per_second), ("outbound", spec.outbound_bytes_per_second))
    sides = [element(side, average=max(1, rate // 1024)) for side, rate in rates if rate]
    return element("bandwidth", *sides) if sides else NOTHING


def _mtu(spec: NICSpec) -> Markup:
    return element("mtu", size=spec.mtu) if spec.mtu else NOTHING


def _port(spec: NICSpec) -> Markup:
    return element("port", isolated="yes") if spec.isolated else NOTHING


def _link(spec: NICSpec) -> Markup:
    return _cable(up=spec.link_up)


def _cable(*, up: bool) -> Markup:
    return element("link", state="up" if up else "down")


PARTS: dict[str, tuple[frozenset[str], Callable[[NICSpec], Markup]]] = {
    "source": (frozenset({"network", "bridge", "device", "user"}), _source),
    "vlan": (frozenset({"vlan"}), _vlan),
    "filterref": (frozenset({"filter"}), _filter),
    "bandwidth": (frozenset({"inbound_bytes_per_second", "outbound_bytes_per_second"}), _bandwidth),
    "mtu": (frozenset({"mtu"}), _mtu),
    "port": (frozenset({"isolated"}), _port),
    "link": (frozenset({"link_up"}), _link),
}
"""The parts of an <interface> that can change, each with the fields that say it and how it is written."""


def _kind(spec: NICSpec) -> str:
    return "network" if spec.network else "bridge" if spec.bridge else "direct" if spec.device else "user"


def nic_xml(spec: NICSpec) -> Markup:
    """Return an <interface>."""
    given = spec.model_fields_set
    return element(
        "interface",
        element("mac", address=spec.mac.lower()) if spec.mac else NOTHING,
        element("model", type=spec.model),
        element("driver", name="vhost", queues=spec.queues) if spec.queues else NOTHING,
        *(write(spec) for fields, write in PARTS.values() if given & fields),
        element("boot", order=spec.boot_order) if spec.boot_order else NOTHING,
        type=_kind(spec),
    )


def nic_element(spec: NICSpec) -> Any:
    """Return an <interface> for a tree."""
    return parse(nic_xml(spec))


def change_nic(interface: Any, spec: NICSpec) -> None:
    """Change an <interface> to what a spec gives; the fields that it leaves out stay, and so does what it can't say."""
    interface.set("type", _kind(spec))
    for tag, (fields, write) in PARTS.items():
        if spec.model_fields_set & fields:
            _replace(interface, tag, write(spec))


def set_link(interface: Any, *, up: bool) -> None:
    """Plug or unplug the cable of an <interface>; without a word it is plugged in."""
    _replace(interface, "link", _cable(up=up))


def _replace(parent: Any, tag: str, new: Markup) -> None:
    for old in parent.findall(tag):
        parent.remove(old)
    if new:
        parent.append(parse(new))


__all__ = ["change_nic", "nic_element", "nic_xml", "set_link"]
