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


PLACE = {"network", "bridge", "device", "user"}
"""The fields that say what a NIC is plugged into."""

RATES = {"inbound": "inbound_bytes_per_second", "outbound": "outbound_bytes_per_second"}
"""The directions of a <bandwidth>, and our limits."""


def nic_xml(spec: NICSpec) -> Markup:
    """Return an <interface>."""
    given = spec.model_fields_set
    return element(
        "interface",
        element("mac", address=spec.mac.lower()) if spec.mac else NOTHING,
        element("model", type=spec.model),
        element("driver", queues=spec.queues) if spec.queues else NOTHING,
        *(write(spec) for fields, write in PARTS.values() if given & fields),
        element("boot", order=spec.boot_order) if spec.boot_order else NOTHING,
        type=spec_place(spec)[0],
    )


def nic_element(spec: NICSpec) -> Any:
    """Return an <interface> for a tree."""
    return parse(nic_xml(spec))


FIXED = {"model", "queues", "boot_order"}
"""Fields of a NIC that its guest finds at boot: a running VM keeps them."""


def change_nic(interface: Any, spec: NICSpec) -> None:
    """Change an <interface> to what a spec gives. Fields that the spec leaves out stay, and so does everything a spec can't say."""
    given = spec.model_fields_set
    if given & PLACE and (spec.network or spec.bridge or spec.device or spec.user):
        _plug_into(interface, spec)
    elif "portgroup" in given:
        _set(interface.find("source"), "portgroup", spec.portgroup)
    for tag, (fields, write) in PARTS.items():
        if tag not in ("source", "bandwidth") and given & fields:
            _replace(interface, tag, write(spec))
    for side, field in RATES.items():
        if field in given:
            _limit(interface, side, getattr(spec, field))
    if "model" in given:
        _replace(interface, "model", element("model", type=spec.model))
    if "queues" in given:
        _set(_child(interface, "driver"), "queues", spec.queues)
    if "boot_order" in given:
        _replace(interface, "boot", element("boot", order=spec.boot_order) if spec.boot_order else NOTHING)


def set_link(interface: Any, *, up: bool) -> None:
    """Plug or unplug the cable of an <interface>; without a word it is plugged in."""
    _replace(interface, "link", _cable(up=up))


def as_defined(interface: Any, inherited: Any = None) -> None:
    """Turn an <interface> of a running VM into what its definition would say.

    libvirt shows a running VM's NIC with what its network chose: type "bridge" or "direct" with the bridge or device, and limits and VLANs
    of the network or port group. Sent back like that, the NIC would leave its network.

    Args:
        inherited: the element of the network, or of its port group, that limits and VLANs may come from.
    """
    source = interface.find("source")
    if source is None or not source.get("network"):
        return
    interface.set("type", "network")
    for name in [name for name in source.attrib if name not in ("network", "portgroup")]:
        del source.attrib[name]
    for tag in ("vlan", "virtualport", "bandwidth"):
        own = interface.find(tag)
        if own is not None and _same(own, None if inherited is None else inherited.find(tag)):
            interface.remove(own)


def _plug_into(interface: Any, spec: NICSpec) -> None:
    """Plug a NIC into what the spec names; if it is plugged in there already, only a given port group changes."""
    source, (kind, attribute, name) = interface.find("source"), spec_place(spec)
    if interface.get("type", "network") == kind and (attribute is None or _names(source, attribute, name)):
        if "portgroup" in spec.model_fields_set:
            _set(source, "portgroup", spec.portgroup)
        return
    if interface.get("type", "network") != kind:
        _replace(interface, "virtualport", NOTHING)  # it belongs to the switch that the NIC leaves
    interface.set("type", kind)
    _replace(interface, "source", _source(spec))


def spec_place(spec: NICSpec) -> tuple[str, str | None, str | None]:
    """Return libvirt's type of a NIC, and the attribute of its <source> with its value."""
    if spec.network:
        return "network", "network", spec.network
    if spec.bridge:
        return "bridge", "bridge", spec.bridge
    return ("direct", "dev", spec.device) if spec.device else ("user", None, None)


def _names(source: Any, attribute: str, name: str | None) -> bool:
    return source is not None and source.get(attribute) == name


def _limit(interface: Any, side: str, rate: int | None) -> None:
    """Set or lift the limit of one direction; the other direction and its bursts stay."""
    bandwidth = _child(interface, "bandwidth")
    limit = bandwidth.find(side)
    if rate:
        limit = _child(bandwidth, side)
        average = max(1, rate // 1024)
        limit.set("average", str(average))
        if int(limit.get("peak", average)) < average:
            del limit.attrib["peak"]
    elif limit is not None:
        bandwidth.remove(limit)
    if not len(bandwidth):
        interface.remove(bandwidth)


def _set(parent: Any, attribute: str, value: Any) -> None:
    if parent is None:
        return
    if value is None:
        parent.attrib.pop(attribute, None)
    else:
        parent.set(attribute, str(value))


def _child(parent: Any, tag: str, **attributes: Any) -> Any:
    found = parent.find(tag)
    if found is None:
        found = parse(element(tag, **attributes))
        parent.append(found)
    return found


def _same(one: Any, other: Any) -> bool:
    """Whether two elements say the same, however they are laid out."""
    return other is not None and _plain(one) == _plain(other)


def _plain(node: Any) -> tuple[Any, ...]:
    return node.tag, sorted(node.attrib.items()), (node.text or "").strip(), [_plain(child) for child in node]


def _replace(parent: Any, tag: str, new: Markup) -> None:
    for old in parent.findall(tag):
        parent.remove(old)
    if new:
        parent.append(parse(new))


__all__ = ["FIXED", "PLACE", "RATES", "as_defined", "change_nic", "nic_element", "nic_xml", "set_link", "spec_place"]
