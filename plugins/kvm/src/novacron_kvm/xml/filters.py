"""Traffic filters: our rules as libvirt's, and back."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from lxml import etree

from novacron_kvm.xml.parsing import serialise

if TYPE_CHECKING:
    from novacron.specs.filters import FilterRule, TrafficFilterSpec

ACTION = {"allow": "accept", "deny": "drop", "reject": "reject"}
OURS = {theirs: ours for ours, theirs in ACTION.items()}
ANTI_SPOOFING = "clean-traffic"
"""libvirt's own filter against packets with another's MAC or IP address."""
LAST = 1000
"""Priority of what happens to packets that no rule is about: the highest number that libvirt allows, looked at last."""


def filter_xml(spec: TrafficFilterSpec, identity: str | None = None) -> str:
    """Return a filter's definition."""
    root = etree.Element("filter", name=spec.name, chain="root")
    if identity:
        etree.SubElement(root, "uuid").text = identity
    if spec.anti_spoofing:
        etree.SubElement(root, "filterref", filter=ANTI_SPOOFING)
    for rule in spec.rules:
        for direction in ("in", "out") if rule.direction == "both" else (rule.direction,):
            root.append(_rule(rule, direction))
    if spec.default == "deny":
        for protocol in ("all", "all-ipv6"):
            etree.SubElement(etree.SubElement(root, "rule", action="drop", direction="inout", priority=str(LAST)), protocol)
    return serialise(root)


def _rule(rule: FilterRule, direction: str) -> Any:
    """Return a <rule>: for packets that come the peer is the source, and the ports are the destination's in any case."""
    element = etree.Element("rule", action=ACTION[rule.action], direction=direction, priority=str(rule.priority))
    six = (rule.peer is not None and rule.peer.version == 6) or rule.protocol == "icmpv6"
    name = {"any": "all", "icmpv6": "icmpv6"}.get(rule.protocol, rule.protocol) + (
        "-ipv6" if six and rule.protocol != "icmpv6" else ""
    )
    match = etree.SubElement(element, name)
    if rule.peer is not None:
        side = "src" if direction == "in" else "dst"
        match.set(f"{side}ipaddr", str(rule.peer.network_address))
        match.set(f"{side}ipmask", str(rule.peer.prefixlen))
    if rule.ports:
        first, _, last = rule.ports.partition("-")
        match.set("dstportstart", first)
        match.set("dstportend", last or first)
    return element


def rules(root: Any) -> dict[str, Any]:
    """Return `rules`, `default` and `anti_spoofing` of a record from a filter's definition, whoever wrote it."""
    found: list[dict[str, Any]] = []
    dropped = {rule[0].tag for rule in root.iterfind("rule") if _is_default(rule)}
    denies = dropped == {"all", "all-ipv6"}  # a filter that drops the rest of IPv4 alone still lets IPv6 through
    anti_spoofing = False
    for element in root:
        if element.tag == "filterref" and element.get("filter") == ANTI_SPOOFING:
            anti_spoofing = True
        elif element.tag == "rule" and denies and _is_default(element):
            continue
        elif element.tag == "rule":
            rule = _read(element)
            twin = next((r for r in found if "native" not in rule and r == rule | {"direction": r.get("direction")}), None)
            if twin is not None and {twin["direction"], rule["direction"]} == {"in", "out"}:
                twin["direction"] = "both"
            else:
                found.append(rule)
        elif element.tag != "uuid":
            found.append({"native": etree.tostring(element, encoding="unicode").strip()})
    return {"rules": tuple(found), "default": "deny" if denies else "allow", "anti_spoofing": anti_spoofing}


def outline(root: Any) -> list[tuple[Any, ...]]:
    """Return what a filter's rules are about, in a form that does not depend on how numbers and addresses are written."""
    found = [("filterref", each.get("filter")) for each in root.iterfind("filterref")]
    rules = []
    for rule in root.iterfind("rule"):
        matches = [match for match in rule if isinstance(match.tag, str)]
        names = sorted(name for match in matches for name in match.attrib if not name.endswith("mask") and name != "match")
        rules.append((rule.get("action"), rule.get("direction"), *sorted(match.tag for match in matches), names))
    return sorted([*found, *rules], key=repr)


def _is_default(rule: Any) -> bool:
    return bool(
        rule.get("action") == "drop"
        and rule.get("priority") == str(LAST)
        and len(rule) == 1
        and rule[0].tag in ("all", "all-ipv6")
        and not rule[0].attrib
    )


def _read(rule: Any) -> dict[str, Any]:
    direction = {"inout": "both"}.get(rule.get("direction", ""), rule.get("direction"))
    native = {"native": etree.tostring(rule, encoding="unicode").strip()}
    if len(rule) != 1 or rule.get("statematch"):
        return native
    match = rule[0]
    protocol = {"all": "any"}.get(match.tag.removesuffix("-ipv6"), match.tag.removesuffix("-ipv6"))
    if protocol not in ("any", "tcp", "udp", "icmp", "icmpv6", "sctp"):
        return native
    given = dict(match.attrib)
    side = "src" if direction == "in" else "dst"
    peer, mask = given.pop(f"{side}ipaddr", None), given.pop(f"{side}ipmask", None)
    first, last = given.pop("dstportstart", None), given.pop("dstportend", None)
    if given or (direction == "both" and (peer or first)):
        return native
    found: dict[str, Any] = {"action": OURS[rule.get("action")], "direction": direction}
    if protocol != "any":
        found["protocol"] = protocol
    if peer:
        found["peer"] = str(ip_network(f"{peer}/{mask}" if mask else peer, strict=False))
    if first:
        found["ports"] = first if last in (None, first) else f"{first}-{last}"
    if rule.get("priority", "500") != "500":
        found["priority"] = int(rule.get("priority"))
    return found


__all__ = ["ANTI_SPOOFING", "filter_xml", "outline", "rules"]
