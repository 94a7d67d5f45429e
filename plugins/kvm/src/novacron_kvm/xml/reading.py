"""Records from domain XML of any origin. Elements that are not known are ignored, they are never an error."""

from __future__ import annotations

from typing import Any

from novacron.records.disks import Disk
from novacron.records.nics import NIC
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import content, parse, text_of
from novacron_kvm.xml.sources import source_key

AGENT_CHANNEL = "org.qemu.guest_agent.0"
UNIT = {
    "b": 1,
    "bytes": 1,
    "KB": 1000,
    "k": 1024,
    "KiB": 1024,
    "MB": 10**6,
    "M": 2**20,
    "MiB": 2**20,
    "GB": 10**9,
    "G": 2**30,
    "GiB": 2**30,
    "TB": 10**12,
    "T": 2**40,
    "TiB": 2**40,
}


def fields(text: str) -> dict[str, Any]:
    """Return the fields of a VM record that the definition says."""
    root = parse(text)
    own = VMFacts.read(root)
    firmware = "bios"
    parts = _parts(root)
    boot, devices = _parts(parts.get("os", NOTHING)), _by_kind(parts.get("devices", NOTHING))
    if parts.get("os", NOTHING).get("firmware") == "efi" or boot.get("loader", NOTHING).get("type") == "pflash":
        # the loader is there once libvirt has chosen one, the features say what was asked
        asked = {f.get("name"): f.get("enabled") for f in boot.get("firmware", NOTHING)}
        secure = boot.get("loader", NOTHING).get("secure", asked.get("secure-boot")) == "yes"
        firmware = "uefi-secure" if secure else "uefi"
    return {
        "arch": boot.get("type", NOTHING).get("arch"),
        "machine": boot.get("type", NOTHING).get("machine"),
        "firmware": firmware,
        "disks": tuple(disk(element) for element in devices.get("disk", ())),
        "nics": tuple(nic(element) for element in devices.get("interface", ())),
        "tags": frozenset(own.tags),
        "locked_memory": _locked_memory(parts, devices),
        "metadata": dict(own.metadata),
        "description": content(parts["description"]) if "description" in parts else "",
        "created_at": own.created_at,
        "agent_connected": _agent_connected(devices),
        "native": {"virt_type": root.get("type"), "title": content(parts["title"]) or None if "title" in parts else None},
    }


def _agent_connected(devices: dict[str, list[Any]]) -> bool | None:
    """Return whether the guest agent has opened its channel. libvirt reports it only while the VM runs."""
    targets = (target for channel in devices.get("channel", ()) for target in channel if target.tag == "target")
    states = [target.get("state") for target in targets if target.get("name") == AGENT_CHANNEL]
    return states[0] == "connected" if states and states[0] is not None else None


def _locked_memory(parts: dict[str, Any], devices: dict[str, list[Any]]) -> tuple[str, ...]:
    """Return why the host can't swap out the VM's memory, and so can't overcommit it. VFIO pins the memory of guests with its devices."""
    backing = _parts(parts.get("memoryBacking", NOTHING))
    reasons = {
        "huge pages": "hugepages" in backing,
        "locked memory": "locked" in backing,
        "devices of the host": any(element.get("type") in ("pci", "mdev") for element in devices.get("hostdev", ())),
        "encrypted memory": "launchSecurity" in parts,
    }
    return tuple(reason for reason, found in reasons.items() if found)


def machine_of(root: Any) -> tuple[str, str | None]:
    """Return a VM's architecture and machine."""
    return text_of(root, "os/type/@arch") or "", text_of(root, "os/type/@machine")


def disk(element: Any) -> Disk:
    """Return the record of a <disk>."""
    parts = _parts(element)
    source = parts.get("source", NOTHING)
    order = parts.get("boot", NOTHING).get("order")
    return Disk(
        target=parts.get("target", NOTHING).get("dev") or "",
        source=_source(element.get("type", "file"), source),
        device=element.get("device", "disk"),
        bus=parts.get("target", NOTHING).get("bus"),
        format=parts.get("driver", NOTHING).get("type"),
        pool=source.get("pool"),
        volume=source.get("volume"),
        backing=_backing(parts["backingStore"]) if "backingStore" in parts else None,
        read_only="readonly" in parts,
        shareable="shareable" in parts,
        boot_order=int(order) if order else None,
        encrypted="encryption" in parts or any(child.tag == "encryption" for child in source),
        serial=content(parts["serial"]) or None if "serial" in parts else None,
    )


def _backing(below: Any) -> str | None:
    """Return what a disk is backed by: a file, a block device or a network image."""
    source = below.find("source")
    return None if source is None else _source(below.get("type", "file"), source)


def _source(kind: str, source: Any) -> str | None:
    """Return a disk's source as one text: a path, the name of a network image, "nvme:0000:01:00.0/1" or "vhost-user:/run/blk.sock"."""
    if kind in ("nvme", "vhostuser") and source is not NOTHING:
        return source_key(source, lambda pool, volume: volume)
    return next((source.get(a) for a in ("file", "dev", "dir", "name", "volume") if source.get(a)), None)


def vlan_tags(vlan: Any) -> tuple[tuple[int, ...], bool]:
    """Return the tags of a <vlan>, and whether the port is a trunk: it then carries tagged packets."""
    tags = tuple(int(tag.get("id")) for tag in vlan.iterfind("tag") if (tag.get("id") or "").isdecimal())
    return tags, vlan.get("trunk") == "yes"


def nic(element: Any) -> NIC:
    """Return the record of an <interface>."""
    parts = _parts(element)
    source = parts.get("source", NOTHING)
    rates = _parts(parts.get("bandwidth", NOTHING))
    tags, trunk = vlan_tags(parts["vlan"]) if "vlan" in parts else ((), False)
    return NIC(
        mac=(parts.get("mac", NOTHING).get("address") or "").lower(),
        type=element.get("type", "network"),
        network=next((source.get(a) for a in ("network", "bridge", "dev") if source.get(a)), None),
        model=parts.get("model", NOTHING).get("type"),
        target=parts.get("target", NOTHING).get("dev"),
        link_up=parts.get("link", NOTHING).get("state", "up") == "up",
        mtu=_number(parts.get("mtu", NOTHING).get("size")),
        vlan=None if len(tags) > 1 or trunk else next(iter(tags), None),
        vlan_trunk=tags if len(tags) > 1 or trunk else (),
        portgroup=source.get("portgroup"),
        filter=parts.get("filterref", NOTHING).get("filter"),
        isolated=parts.get("port", NOTHING).get("isolated") == "yes",
        inbound_bytes_per_second=_number(rates.get("inbound", NOTHING).get("average"), 1024),
        outbound_bytes_per_second=_number(rates.get("outbound", NOTHING).get("average"), 1024),
    )


NOTHING: Any = {}
"""An element that is not there: it has neither attributes nor children."""


def _parts(element: Any) -> dict[str, Any]:
    """Return the first child of each name; looking each up in the tree would take three times as long."""
    found: dict[str, Any] = {}
    for child in element:
        found.setdefault(child.tag, child)
    return found


def _by_kind(devices: Any) -> dict[str, list[Any]]:
    """Return the devices by the names of their elements, in the order of the definition."""
    found: dict[str, list[Any]] = {}
    for device in devices:
        found.setdefault(device.tag, []).append(device)
    return found


def _number(text: str | None, unit: int = 1) -> int | None:
    return int(text) * unit if text and text.isdecimal() else None


__all__ = ["UNIT", "disk", "fields", "machine_of", "nic", "vlan_tags"]
