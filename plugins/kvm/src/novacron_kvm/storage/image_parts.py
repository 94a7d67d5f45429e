"""Other files that hold the content of a disk image: the external data file of a qcow2 image and the extents of a VMDK image.

libvirt 9.0 does not report them, so they are read from the first bytes of the image.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import libvirt

HEADER = 64 * 1024
"""Bytes that are read of an image: the smallest cluster that qcow2 images usually have, which contains all of their header."""
SPLIT_FORMATS = ("qcow2", "vmdk")
"""Formats of images that can have their content in other files."""
QCOW2, EXTERNAL_DATA, DATA_FILE_NAME = b"QFI\xfb", 1 << 2, 0x44415441
EXTENT = re.compile(rb'^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+\w+\s+"([^"\n]+)"', re.MULTILINE)


def part_names(header: bytes) -> list[str]:
    """Return the names of the files that have the content of an image, as its first bytes have them.

    They are relative to the folder of the image. An image that contains all of its content has none.

    Example:
        >>> part_names(b'# Disk DescriptorFile\\nRW 16384 FLAT "web-flat.vmdk" 0\\n'), part_names(b"any other content")
        (['web-flat.vmdk'], [])
    """
    if header.startswith(QCOW2):
        found = _data_file(header)
    elif header.startswith(b"# Disk DescriptorFile"):
        found = EXTENT.findall(header)
    else:
        found = []
    return [name.decode("utf-8", "surrogateescape") for name in found]


def _data_file(header: bytes) -> list[bytes]:
    """Return the name of the external data file in a qcow2 header (docs/interop/qcow2.txt of QEMU), if the image has one."""
    try:
        (version,) = struct.unpack_from(">I", header, 4)
        (features,) = struct.unpack_from(">Q", header, 72)
        (at,) = struct.unpack_from(">I", header, 100)
        if version < 3 or not features & EXTERNAL_DATA:
            return []
        while True:
            kind, size = struct.unpack_from(">II", header, at)
            if kind == DATA_FILE_NAME:
                return [header[at + 8 : at + 8 + size]]
            if kind == 0:
                return []
            at += 8 + (size + 7) // 8 * 8
    except struct.error:
        return []  # the header is damaged


def read_header(connection: Any, volume: Any) -> bytes:
    """Return the first bytes of a volume; nothing if libvirt can't read it now."""
    try:
        stream = connection.newStream(0)
        volume.download(stream, 0, HEADER, 0)
        data = b""
        while received := stream.recv(HEADER):
            data += received
        stream.finish()
        return data
    except libvirt.libvirtError:
        return b""


__all__ = ["HEADER", "SPLIT_FORMATS", "part_names", "read_header"]
