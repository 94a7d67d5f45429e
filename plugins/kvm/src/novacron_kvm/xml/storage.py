"""Definitions of storage pools and volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxml import etree

from novacron_kvm.xml.parsing import serialise

if TYPE_CHECKING:
    from novacron.specs.storage import StoragePoolSpec


def pool_xml(spec: StoragePoolSpec) -> str:
    """Return a pool's definition."""
    root = etree.Element("pool", type=spec.type)
    etree.SubElement(root, "name").text = spec.name
    source = etree.SubElement(root, "source")
    if spec.source_host:
        etree.SubElement(source, "host", name=spec.source_host)
    if spec.source_path:
        etree.SubElement(source, "dir" if spec.type == "netfs" else "device", path=spec.source_path)
    if spec.source_name:
        etree.SubElement(source, "name").text = spec.source_name
    if spec.path:
        etree.SubElement(etree.SubElement(root, "target"), "path").text = spec.path
    return serialise(root)


def volume_xml(name: str, capacity: int, format_: str, backing: tuple[str, str] | None, *, preallocate: bool = False) -> str:
    """Return a volume's definition; `backing` is (path, format)."""
    root = etree.Element("volume")
    etree.SubElement(root, "name").text = name
    etree.SubElement(root, "capacity").text = str(capacity)
    etree.SubElement(root, "allocation").text = str(capacity if preallocate else 0)
    target = etree.SubElement(root, "target")
    etree.SubElement(target, "format", type=format_)
    if format_ == "qcow2":
        etree.SubElement(target, "compat").text = "1.1"  # libvirt's own choice, 0.10, can't grow once it has snapshots
    if backing:
        below = etree.SubElement(root, "backingStore")
        etree.SubElement(below, "path").text = backing[0]
        etree.SubElement(below, "format", type=backing[1])
    return serialise(root)


__all__ = ["pool_xml", "volume_xml"]
