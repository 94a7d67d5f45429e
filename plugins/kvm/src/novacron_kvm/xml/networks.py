"""Definitions of networks: written from a spec, read into a record, changed in place."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import TYPE_CHECKING, Any

from lxml import etree

from novacron_kvm.xml.parsing import text_of
from novacron_kvm.xml.reading import vlan_tags

if TYPE_CHECKING:
    from novacron.specs.networks import DHCPHostSpec, DNSHostSpec, NetworkSpec, PortGroupSpec

FORWARD = {"nat": "nat", "routed": "route", "open": "open", "bridged": "bridge", "macvtap": "bridge"}
"""libvirt's mode of each type; an isolated network has none, a macvtap one is a bridge to a device."""

LIVE = ("dhcp_start", "dhcp_end", "dhcp_hosts", "dns_hosts", "portgroups")
"""What of a network libvirt changes while it is in use."""


def network_element(spec: NetworkSpec) -> Any:
    """Return a <network>."""
    root = etree.Element("network")
    _child(root, "name", spec.name)
    change(root, spec, type(spec).model_fields.keys() - {"name", "autostart"})
    return root


def change(root: Any, spec: NetworkSpec, fields: set[str]) -> None:
    """Change some fields of a <network>; whatever else is in it stays."""
    if fields & {"type", "device"}:
        _remove(root, "forward")
        if spec.type != "isolated":
            forward = _placed(root, etree.Element("forward", mode=FORWARD[spec.type]))
            if spec.type == "macvtap":
                etree.SubElement(forward, "interface", dev=str(spec.device))
    _change_bridge(root, spec, fields)
    if "openvswitch" in fields:
        _remove(root, "virtualport")
        if spec.openvswitch:
            _placed(root, etree.Element("virtualport", type="openvswitch"))
    if "mtu" in fields:
        _remove(root, "mtu")
        if spec.mtu:
            _placed(root, etree.Element("mtu", size=str(spec.mtu)))
    if "domain" in fields:
        _remove(root, "domain")
        if spec.domain:
            _placed(root, etree.Element("domain", name=spec.domain, localOnly="yes"))
    if "vlan" in fields:
        _remove(root, "vlan")
        if spec.vlan is not None:
            etree.SubElement(_placed(root, etree.Element("vlan")), "tag", id=str(spec.vlan))
    if "dns_hosts" in fields:
        _remove(root, "dns/host")
        if spec.dns_hosts:
            dns = root.find("dns")
            dns = _placed(root, etree.Element("dns")) if dns is None else dns
            dns.extend(dns_host(host) for host in spec.dns_hosts)
    if "portgroups" in fields:
        _remove(root, "portgroup")
        root.extend(portgroup(group) for group in spec.portgroups)
    _change_addresses(root, spec, fields)


def _change_bridge(root: Any, spec: NetworkSpec, fields: set[str]) -> None:
    wanted = {
        "name": spec.bridge if "bridge" in fields else None,
        "stp": {None: None, True: "on", False: "off"}[spec.stp] if "stp" in fields else None,
        "delay": str(spec.forward_delay) if "forward_delay" in fields and spec.forward_delay is not None else None,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    if not given:
        return
    bridge = root.find("bridge")
    bridge = _placed(root, etree.Element("bridge")) if bridge is None else bridge
    for name, value in given.items():
        bridge.set(name, value)


def _change_addresses(root: Any, spec: NetworkSpec, fields: set[str]) -> None:
    if "cidr" in fields and spec.cidr and _interface(root.find("ip")) != spec.cidr:
        ip = root.find("ip")
        ip = etree.SubElement(root, "ip") if ip is None else ip
        if ip.get("netmask"):
            del ip.attrib["netmask"]
        if spec.cidr.version == 6:
            ip.set("family", "ipv6")
        ip.set("address", str(spec.cidr.ip))
        ip.set("prefix", str(spec.cidr.network.prefixlen))
    ip = root.find("ip")
    if ip is None or not fields & {"dhcp_start", "dhcp_end", "dhcp_hosts", "cidr"}:
        return
    dhcp = ip.find("dhcp")
    if dhcp is None:
        dhcp = etree.SubElement(ip, "dhcp")
    if fields & {"dhcp_start", "dhcp_end"}:
        _remove(dhcp, "range")
        if spec.dhcp_start:
            dhcp.insert(0, dhcp_range(spec))
    if "dhcp_hosts" in fields:
        _remove(dhcp, "host")
        dhcp.extend(dhcp_host(host) for host in spec.dhcp_hosts)
    if not len(dhcp):
        ip.remove(dhcp)


def dhcp_range(spec: NetworkSpec) -> Any:
    """Return a <range>."""
    return etree.Element("range", start=str(spec.dhcp_start), end=str(spec.dhcp_end))


def dhcp_host(host: DHCPHostSpec) -> Any:
    """Return a <host> of <dhcp>."""
    element = etree.Element("host", mac=host.mac.lower(), ip=str(host.address))
    if host.hostname:
        element.set("name", host.hostname)
    return element


def dns_host(host: DNSHostSpec) -> Any:
    """Return a <host> of <dns>."""
    element = etree.Element("host", ip=str(host.address))
    for name in host.names:
        _child(element, "hostname", name)
    return element


def portgroup(group: PortGroupSpec) -> Any:
    """Return a <portgroup>."""
    element = etree.Element("portgroup", name=group.name)
    if group.default:
        element.set("default", "yes")
    if group.vlan is not None:
        etree.SubElement(etree.SubElement(element, "vlan"), "tag", id=str(group.vlan))
    bandwidth = bandwidth_element(group.inbound_bytes_per_second, group.outbound_bytes_per_second)
    if bandwidth is not None:
        element.append(bandwidth)
    return element


def bandwidth_element(inbound: int | None, outbound: int | None) -> Any:
    """Return a <bandwidth> of bytes per second in each direction, None without any; libvirt counts in KiB."""
    if not (inbound or outbound):
        return None
    element = etree.Element("bandwidth")
    for side, rate in (("inbound", inbound), ("outbound", outbound)):
        if rate:
            etree.SubElement(element, side, average=str(max(1, rate // 1024)))
    return element


def fields(root: Any) -> dict[str, Any]:
    """Return the fields of a Network record that a definition says."""
    forward = root.find("forward")
    mode = "isolated" if forward is None else forward.get("mode", "nat")
    kind = {"route": "routed", "bridge": "bridged", "private": "macvtap", "vepa": "macvtap", "passthrough": "macvtap"}.get(
        mode, mode
    )
    if mode == "bridge" and forward.find("interface") is not None:
        kind = "macvtap"
    mtu, device = text_of(root, "mtu/@size"), text_of(root, "forward/interface/@dev")
    vlan = root.find("vlan")
    tags, trunk = vlan_tags(vlan) if vlan is not None else ((), False)
    native: dict[str, Any] = {"device": device, "mtu": int(mtu) if mtu else None}
    native |= {"vlan_trunk": list(tags)} if trunk or len(tags) > 1 else {"vlan": next(iter(tags), None)}
    stp, delay = text_of(root, "bridge/@stp"), text_of(root, "bridge/@delay")
    native |= {"stp": False if stp == "off" else None, "forward_delay": int(delay) if delay and int(delay) else None}
    native["openvswitch"] = text_of(root, "virtualport/@type") == "openvswitch" or None
    groups = [_portgroup_fields(group) for group in root.iterfind("portgroup")]
    native["portgroups"] = groups if any(len(group) > 1 for group in groups) else None
    return {
        "type": kind,
        "bridge": text_of(root, "bridge/@name"),
        "cidrs": tuple(str(found) for ip in root.iterfind("ip") if (found := _interface(ip)) is not None),
        "portgroups": tuple(p.get("name") for p in root.iterfind("portgroup")),
        "dhcp_ranges": tuple((r.get("start"), r.get("end")) for r in root.iterfind("ip/dhcp/range")),
        "dhcp_hosts": tuple(
            {
                name: value
                for name, value in (("mac", h.get("mac")), ("address", h.get("ip")), ("hostname", h.get("name")))
                if value
            }
            for h in root.iterfind("ip/dhcp/host")
        ),
        "dns_hosts": tuple(
            {"address": h.get("ip"), "names": [n.text for n in h.iterfind("hostname")]} for h in root.iterfind("dns/host")
        ),
        "domain": text_of(root, "domain/@name"),
        "native": {name: value for name, value in native.items() if value is not None},
    }


def _portgroup_fields(group: Any) -> dict[str, Any]:
    """Return the given fields of a port group, by the names of `PortGroupSpec`."""
    vlan = group.find("vlan")
    tags, trunk = vlan_tags(vlan) if vlan is not None else ((), False)
    rates = {side: text_of(group, f"bandwidth/{side}/@average") for side in ("inbound", "outbound")}
    found = {"name": group.get("name"), "default": group.get("default") == "yes" or None}
    found |= {"vlan_trunk": list(tags)} if trunk or len(tags) > 1 else {"vlan": next(iter(tags), None)}
    found |= {f"{side}_bytes_per_second": int(rate) * 1024 if rate else None for side, rate in rates.items()}
    return {name: value for name, value in found.items() if value is not None}


def _interface(ip: Any) -> Any:
    """Return an <ip>'s address with its prefix, None without one. libvirt stores masks with gaps too, but starts no such network."""
    if ip is None:
        return None
    length = ip.get("prefix") or ip.get("netmask") or _usual_prefix(ip.get("address") or "")
    try:
        return ip_interface(f"{ip.get('address')}/{length}")
    except ValueError:
        return None


def _usual_prefix(address: str) -> int:
    """Return the prefix that libvirt takes for an address without one: 64 for IPv6, and the address's class for IPv4."""
    if ":" in address:
        return 64
    first = int(address.partition(".")[0])
    return 8 if first < 128 else 16 if first < 192 else 24


_ORDER = (
    "name",
    "uuid",
    "metadata",
    "forward",
    "bridge",
    "virtualport",
    "mtu",
    "mac",
    "domain",
    "dns",
    "vlan",
    "bandwidth",
    "ip",
    "route",
    "portgroup",
)


def _placed(root: Any, element: Any) -> Any:
    """Put an element where libvirt writes it itself, and return it."""
    before = _ORDER[: _ORDER.index(element.tag)]
    root.insert(sum(1 for child in root if child.tag in before), element)
    return element


def _remove(root: Any, path: str) -> None:
    for element in root.findall(path):
        element.getparent().remove(element)


def _child(parent: Any, tag: str, text: str) -> Any:
    element = etree.SubElement(parent, tag)
    element.text = text
    return element


__all__ = ["LIVE", "bandwidth_element", "change", "dhcp_host", "dhcp_range", "dns_host", "fields", "network_element", "portgroup"]
