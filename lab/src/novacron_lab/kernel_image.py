"""Unpacks a compressed Linux kernel on this machine. An emulated processor takes much longer for it."""

from __future__ import annotations

import struct
from pathlib import Path

from novacron_lab.running import LabError, run

UNPACKERS = (
    (b"\x02\x21\x4c\x18", "lz4", 4),
    (b"\x28\xb5\x2f\xfd", "zstd", 4),
    (b"\xfd7zXZ", "xz", 4),
    (b"\x1f\x8b", "gzip", 0),
)
"""The first bytes of each format, the program that unpacks it, and the bytes at the end that are the kernel's own."""
ELF = b"\x7fELF"


def unpack(image: Path, target: Path) -> None:
    """Write the kernel that a compressed image ("bzImage") contains as an ELF file, which QEMU starts directly.

    Raises:
        LabError: the image has no kernel in a known format, or the program that unpacks it fails.
    Source: https://docs.kernel.org/arch/x86/boot.html (setup_sects, payload_offset and payload_length)
    """
    data = image.read_bytes()
    if data[0x202:0x206] != b"HdrS":
        raise LabError(f"{image} is no compressed Linux kernel for x86")
    sectors = data[0x1F1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (sectors + 1) * 512 + offset
    payload = data[start : start + length]
    for magic, program, appended in UNPACKERS:
        if payload.startswith(magic):
            packed = target.with_suffix(".packed")
            packed.write_bytes(payload[: len(payload) - appended])
            run("sh", "-c", '"$0" -d -c <"$1" >"$2"', program, packed, target)
            packed.unlink()
            break
    else:
        raise LabError(f"the kernel in {image} is compressed in an unknown way: it begins with {payload[:6]!r}")
    with target.open("rb") as kernel:
        if kernel.read(4) != ELF:
            raise LabError(f"what {program} unpacked from {image} is no ELF file")


__all__ = ["unpack"]
