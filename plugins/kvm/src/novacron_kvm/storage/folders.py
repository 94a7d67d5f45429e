"""A storage pool of any folder of a host, for as long as it is needed: libvirt then lists and reads the files in it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import libvirt

from novacron_kvm.xml.markup import element, text

PREFIX = "novacron-look-"
"""How the names of temporary pools begin."""


@contextmanager
def pool_of_folder(slow: Any, folder: str) -> Iterator[Any]:
    """Give a storage pool of a folder, or None when libvirt can't make one; a pool that exists is used, a temporary one removed after."""
    there = _existing(slow, folder)
    made = None if there is not None else _made(slow, folder)
    try:
        yield there if there is not None else made
    finally:
        if made is not None:
            _destroy(made)


def _existing(slow: Any, folder: str) -> Any:
    try:
        pool = slow.storagePoolLookupByTargetPath(folder)
    except libvirt.libvirtError:
        return None
    return pool if pool.isActive() else None


def _made(slow: Any, folder: str) -> Any:
    name = text("name", PREFIX + uuid.uuid4().hex[:12])
    definition = element("pool", name, element("target", text("path", folder)), type="dir")
    try:
        return slow.storagePoolCreateXML(definition, 0)
    except libvirt.libvirtError:
        return None  # there is no such folder, or an inactive pool has it


def _destroy(pool: Any) -> None:
    try:
        pool.destroy()
    except libvirt.libvirtError:
        pass  # somebody else removed it


__all__ = ["PREFIX", "pool_of_folder"]
