"""Records from domain XML, whoever wrote it: what isn't understood is passed over, never an error."""

from __future__ import annotations

import json
from typing import Any

from novacron.records.vm import NIC, Disk
from novacron_kvm.xml.parsing import NAMESPACE, parse, text_of

UNIT = {"b": 1, "bytes": 1, "KB": 1000, "k": 1024, "KiB": 1024, "MB": 10**6, "M": 2**20, "MiB": 2**20, "GB": 10**9, "G": 2**30,
        "GiB": 2**30, "TB": 10**12, "T": 2**40, "TiB": 2**40}  # fmt: skip


FACTS: dict[str, type] = {"tags": list, "made": list, "metadata": dict, "created_at": str}
"""What NovaCron's own facts are, by name; of another type they are passed over."""


def facts(root: Any) -> dict[str, Any]:
    """Return NovaCron's own facts from <metadata>; empty when there are none, or another tool spoiled them."""
    text = text_of(root, f"metadata/{{{NAMESPACE}}}vm")
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    found = {name: value for name, value in found.items() if isinstance(value, FACTS.get(name, object))}
    for name in ("tags", "made"):
        if name in found:
            found[name] = [str(one) for one in found[name]]
    return found


def fields(text: str) -> dict[str, Any]:
    """Return the fields of a VM record that the definition says."""
    root = parse(text)
    own = facts(root)
    firmware = "bios"
    if text_of(root, "os/@firmware") == "efi" or text_of(root, "os/loader/@type") == "pflash":
        # the loader is there once libvirt has chosen one, the features say what was asked
        asked = {f.get("name"): f.get("enabled") for f in root.iterfind("os/firmware/feature")}
        secure = text_of(root, "os/loader/@secure", asked.get("secure-boot")) == "yes"
        firmware = "uefi-secure" if secure else "uefi"
    return {
        "arch": text_of(root, "os/type/@arch"),
        "machine": text_of(root, "os/type/@machine"),
        "firmware": firmware,
        "disks": tuple(disk(e) for e in root.iterfind("devices/disk")),
        "nics": tuple(nic(e) for e in root.iterfind("devices/interface")),
        "tags": frozenset(own.get("tags", ())),
        "metadata": {str(k): str(v) for k, v in own.get("metadata", {}).items()},
        "description": text_of(root, "description") or "",
        "created_at": own.get("created_at"),
        "native": {"virt_type": root.get("type"), "title": text_of(root, "title")},
    }


def disk(element: Any) -> Disk:
    """Return the record of a <disk>."""
    source = element.find("source")
    place = None
    if source is not None:
        place = next((source.get(a) for a in ("file", "dev", "dir", "name", "volume") if source.get(a)), None)
    backing = text_of(element, "backingStore/source/@file")
    order = text_of(element, "boot/@order")
    return Disk(
        target=text_of(element, "target/@dev") or "",
        source=place,
        device=element.get("device", "disk"),
        bus=text_of(element, "target/@bus"),
        format=text_of(element, "driver/@type"),
        pool=source.get("pool") if source is not None else None,
        volume=source.get("volume") if source is not None else None,
        backing=backing,
        read_only=element.find("readonly") is not None,
        shareable=element.find("shareable") is not None,
        boot_order=int(order) if order else None,
        serial=text_of(element, "serial"),
    )


def nic(element: Any) -> NIC:
    """Return the record of an <interface>."""
    source = element.find("source")
    place = None
    if source is not None:
        place = next((source.get(a) for a in ("network", "bridge", "dev") if source.get(a)), None)
    return NIC(
        mac=(text_of(element, "mac/@address") or "").lower(),
        type=element.get("type", "network"),
        network=place,
        model=text_of(element, "model/@type"),
        target=text_of(element, "target/@dev"),
        link_up=text_of(element, "link/@state", "up") == "up",
        mtu=_number(element, "mtu/@size"),
        vlan=_number(element, "vlan/tag/@id"),
        portgroup=text_of(element, "source/@portgroup"),
        filter=text_of(element, "filterref/@filter"),
        isolated=text_of(element, "port/@isolated") == "yes",
        inbound_bytes_per_second=_number(element, "bandwidth/inbound/@average", 1024),
        outbound_bytes_per_second=_number(element, "bandwidth/outbound/@average", 1024),
    )


def _number(element: Any, path: str, unit: int = 1) -> int | None:
    text = text_of(element, path)
    return int(text) * unit if text and text.isdecimal() else None


__all__ = ["UNIT", "disk", "facts", "fields", "nic"]
