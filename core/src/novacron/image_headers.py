"""Reads the header of a disk image: its format, and whether it refers to other files.

An image from elsewhere may name a backing file, an external data file or extents, such as `/etc/shadow` of the host. QEMU would show the
content of that file to the guest. A raw disk can be such an image, too: its guest or the author of an appliance writes the header, and a
hypervisor that guesses formats then follows it.
"""

from __future__ import annotations

import re
import struct

EXAMINED = 65536
"""How many bytes of an image are examined, from its beginning."""
EXTERNAL_DATA = 1 << 2
"""The bit of qcow2's incompatible features that says that the data are in another file (QEMU, docs/interop/qcow2.txt)."""
VMDK_DESCRIPTION = slice(512, 512 + 20 * 512)
"""Where QEMU reads the description of a VMDK, whatever its header says (QEMU, block/vmdk.c)."""
DATA_FILE_NAME = 0x44415441
"""The header extension of qcow2 that has the name of that file."""
EXTENT = re.compile(rb'^[ \t]*(?:RW|RDONLY|NOACCESS)[ \t]+\d+[ \t]+\w+[ \t]+"([^"\n]+)"', re.MULTILINE)
"""A line of a VMDK description that names a file with a part of the content."""
_MAGIC = (
    (b"QFI\xfb", "qcow2"),
    (b"KDMV", "vmdk"),
    (b"COWD", "vmdk"),
    (b"# Disk DescriptorFile", "vmdk"),
    (b"vhdxfile", "vhdx"),
    (b"QED\0", "qed"),
    (b"conectix", "vpc"),
    (b"WithoutFreeSpace", "parallels"),
    (b"WithouFreSpacExt", "parallels"),
)


def image_format(head: bytes) -> str | None:
    r"""Return the format of a disk image, None for raw content.

    Args:
        head: the beginning of the image.

    Example:
        >>> image_format(b"QFI\xfb\x00\x00\x00\x03"), image_format(b"\xeb\x63\x90")
        ('qcow2', None)
    """
    if head[64:68] == b"\x7f\x10\xda\xbe":
        return "vdi"
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def reference(head: bytes) -> str:
    r"""Return what an image needs besides itself, "" if it is complete. The names of the other files are not repeated.

    Args:
        head: the first EXAMINED bytes of the image, or all of it.

    Example:
        >>> reference(b"QFI\xfb" + bytes(3) + b"\x03" + bytes(6) + b"\x01\x00" + bytes(90)), reference(b"\xeb\x63\x90")
        ('a backing file', '')
    """
    if head.startswith(b"QFI\xfb"):
        return _of_qcow2(head)
    if head.startswith((b"KDMV", b"COWD")) and b"parentFileNameHint" in head[VMDK_DESCRIPTION]:
        return "a parent disk"
    if head.startswith(b"KDMV"):
        return _of_vmdk(head)
    if head.startswith(b"# Disk DescriptorFile"):
        return "extents in other files"
    if head.startswith(b"QED\0") and len(head) >= 24 and struct.unpack_from("<Q", head, 16)[0] & 1:
        return "a backing file"
    return ""


def data_files(head: bytes) -> list[str]:
    """Return the names of the other files that have the content of an image, relative to its folder.

    They are the external data file of a qcow2 image and the extents of a VMDK image. An image that contains all of its content has none.

    Args:
        head: the first EXAMINED bytes of the image, or all of it.

    Example:
        >>> data_files(b'# Disk DescriptorFile\\nRW 16384 FLAT "web-flat.vmdk" 0\\n'), data_files(b"any other content")
        (['web-flat.vmdk'], [])
    """
    if head.startswith(b"QFI\xfb"):
        found = _data_file(head)
    elif head.startswith(b"# Disk DescriptorFile"):
        found = EXTENT.findall(head)
    else:
        found = []
    return [name.decode("utf-8", "surrogateescape") for name in found]


def _data_file(head: bytes) -> list[bytes]:
    """Return the name of the external data file in a qcow2 header, if the image has one."""
    try:
        (version,) = struct.unpack_from(">I", head, 4)
        (features,) = struct.unpack_from(">Q", head, 72)
        (at,) = struct.unpack_from(">I", head, 100)
        if version < 3 or not features & EXTERNAL_DATA:
            return []
        while True:
            kind, size = struct.unpack_from(">II", head, at)
            if kind == DATA_FILE_NAME:
                return [head[at + 8 : at + 8 + size]]
            if kind == 0:
                return []
            at += 8 + (size + 7) // 8 * 8
    except struct.error:
        return []  # the header is damaged


def _of_qcow2(head: bytes) -> str:
    if len(head) < 80:
        return ""  # it is cut off; nothing opens it
    version, backing = struct.unpack_from(">IQ", head, 4)
    if backing:
        return "a backing file"
    if version >= 3 and struct.unpack_from(">Q", head, 72)[0] & EXTERNAL_DATA:
        return "its data in another file"
    return ""


def _of_vmdk(head: bytes) -> str:
    """A VMDK with a capacity of 0 is only a description, whose extents may be any files."""
    if len(head) < 44:
        return ""
    capacity, _, place, size = struct.unpack_from("<QQQQ", head, 12)
    if capacity == 0:
        return "extents in other files"
    text = head[place * 512 : (place + size) * 512] if place and size else b""
    if place and size and place * 512 >= len(head) and len(head) >= EXAMINED:
        return "a description that is not at its beginning"
    if re.search(rb"(?im)^[ \t]*parentFileNameHint[ \t]*=", text):
        return "a parent disk"
    parent = re.search(rb"(?im)^[ \t]*parentCID[ \t]*=[ \t]*([0-9a-f]{1,8})", text)
    return "a parent disk" if parent and int(parent[1], 16) != 0xFFFFFFFF else ""


__all__ = ["EXAMINED", "EXTERNAL_DATA", "data_files", "image_format", "reference"]
