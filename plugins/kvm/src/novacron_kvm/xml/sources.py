"""Which file, device or network image a <source> element of a domain means, written as one comparable key.

A key is a normalised absolute path for files, folders and block devices. Everything else has a prefix that no path has: "rbd:pool/image",
"nvme:0000:01:00.0/1", "vhost-user:/run/blk.sock".
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import Any

from novacron_kvm.xml.parsing import content

BOOT_FILES = ("os/kernel", "os/initrd", "os/dtb", "os/loader", "os/nvram")
"""Files beside the disks that a VM needs to start."""

VolumeKey = Callable[[str, str], str | None]
"""Returns the key of a volume, by the names of its pool and of itself."""


def normalised(path: str, folder: str = "/") -> str:
    """Return an absolute path without `.`, `..` and repeated slashes; a relative path begins in `folder`.

    `/dev/mapper` names of LVM volumes become the `/dev/GROUP/VOLUME` that storage pools list.

    Example:
        >>> normalised("//images/./a/../web.img"), normalised("base.img", "/images")
        ('/images/web.img', '/images/base.img')
        >>> normalised("/dev/mapper/vg0-web--1")
        '/dev/vg0/web-1'
    """
    found = posixpath.normpath(posixpath.join(folder, path))
    found = "/" + found.lstrip("/")
    mapped = found.removeprefix("/dev/mapper/")
    if mapped != found:
        group, dash, volume = mapped.replace("--", "\0").partition("-")
        if dash and "-" not in volume:
            return f"/dev/{group}/{volume}".replace("\0", "-")
    return found


def source_key(source: Any, volume_key: VolumeKey) -> str | None:
    """Return the key of a <source>, None for an empty drive or a source that libvirt does not know."""
    parent = source.getparent()
    kind = parent.get("type", "file") if parent is not None else "file"
    if kind == "volume":
        return volume_key(source.get("pool", ""), source.get("volume", ""))
    if kind == "network":
        return f"{source.get('protocol')}:{source.get('name', '')}"
    if kind == "nvme":
        return f"nvme:{nvme_address(source)}"
    if kind == "vhostuser":
        return f"vhost-user:{source.get('path', '')}"
    path = next((source.get(name) for name in ("file", "dev", "dir") if source.get(name)), None)
    return normalised(path) if path else None


def nvme_address(source: Any) -> str:
    """Return the PCI address and the namespace of an NVMe source: "0000:01:00.0/1"."""
    address = source.find("address")
    parts = {} if address is None else address.attrib
    numbers = [int(parts.get(name, "0"), 0) for name in ("domain", "bus", "slot", "function")]
    return "{:04x}:{:02x}:{:02x}.{:x}/{}".format(*numbers, source.get("namespace", "1"))


def sources(root: Any) -> Iterator[Any]:
    """Yield each <source> of the disks in a domain's or snapshot's definition, with those of mirrors and backing chains."""
    for disks in (root.iterfind("devices/disk"), root.iterfind("*/devices/disk"), root.iterfind("disks/disk")):
        for disk in disks:
            yield from (source for source in disk.iter("source") if _names_storage(source))


def beside_disks(root: Any) -> Iterator[str]:
    """Yield the paths of all files beside the disks in a domain's or snapshot's definition: boot files, and the memory of a snapshot."""
    for domain in (root, root.find("domain"), root.find("inactiveDomain")):
        if domain is not None:
            yield from boot_files(domain)
    if root.tag == "domainsnapshot" and (memory := root.find("memory")) is not None and memory.get("file"):
        yield memory.get("file")


def boot_files(root: Any) -> Iterator[str]:
    """Yield the paths of the kernel, firmware and the like in a domain definition."""
    yield from filter(None, (boot_file(root, tag) for tag in BOOT_FILES))


def boot_file(root: Any, tag: str) -> str | None:
    """Return the path of a file beside the disks, in either notation: as the element's text, or in a <source> as that of a disk."""
    element = root.find(tag)
    if element is None:
        return None
    source = element.find("source")
    return content(element).strip() or (source.get("file") if source is not None else None)


def _names_storage(source: Any) -> bool:
    return source.getparent().tag in ("disk", "backingStore", "mirror", "dataStore")


def backing_key(path: str | None, above: str) -> str | None:
    """Return the key of what a volume's definition names as its backing file; a relative name begins beside the file above."""
    if not path:
        return None
    protocol = path.partition("://")[0]
    if "://" in path and protocol.isalnum():
        return f"{protocol}:{path.partition('://')[2].partition('/')[2]}"
    return normalised(path, posixpath.dirname(above))


__all__ = [
    "BOOT_FILES",
    "VolumeKey",
    "backing_key",
    "beside_disks",
    "boot_file",
    "boot_files",
    "normalised",
    "nvme_address",
    "source_key",
    "sources",
]
