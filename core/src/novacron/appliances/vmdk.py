"""Writes and reads disks as "streamOptimized" VMDK: compressed, from the first byte to the last.

The disk is divided into grains of 64 KiB. Grains of zeros are omitted. Each other grain is compressed and contains its position. The
grain tables follow, so that tools can also look up a grain. Source: VMware, "Virtual Disk Format 5.0", chapter "Stream-Optimized
Compressed Sparse Extents".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

from novacron.errors import InvalidSpecError, SpecProblem

SECTOR = 512
GRAIN = 128 * SECTOR
"""Bytes that are compressed together."""
TABLE = 512
"""Grains in a table."""
OVERHEAD = 128
"""Sectors before the first grain: header and description."""
HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")
MAGIC, VERSION, FLAGS, DEFLATE = b"KDMV", 3, 0x30001, 1
CAPACITY_MOST = 64 * 2**40
"""The largest disk that is read, in bytes; vSphere's own limit is 62 TiB."""
ROUNDING = 16 * 2**20
"""How many bytes larger than described a disk may be, because tools round sizes."""
OVERHEAD_MOST, TABLE_MOST = 2**16, 2**15
"""Limits of a description and a grain table, in sectors."""
AT_END = 0xFFFFFFFFFFFFFFFF
MARKER = struct.Struct("<QI")
END, GRAIN_TABLE, DIRECTORY, FOOTER = range(4)
"""Kinds of markers without a grain."""
Progress = Callable[[int], None]
"""Called with the number of processed bytes."""


def encode(source: BinaryIO, target: BinaryIO, capacity: int, progress: Progress = lambda done: None) -> None:
    """Write a disk's raw content as a streamOptimized VMDK. What `source` is too short for is zero; `target` is never sought.

    Args:
        source: the raw content, read from where it stands; a hole of a sparse file is read as zeros.
        target: where the VMDK goes.
        capacity: the disk's size in bytes; the VMDK's is rounded up to whole sectors.
        progress: called after each grain.

    Example:
        >>> import io
        >>> vmdk, raw = io.BytesIO(), io.BytesIO()
        >>> encode(io.BytesIO(b"boot" + bytes(200_000) + b"data"), vmdk, 2**20)
        >>> decode(io.BytesIO(vmdk.getvalue()), raw)
        1048576
        >>> raw.getvalue()[:4], raw.getvalue()[200_004:200_008]
        (b'boot', b'data')
    """
    sectors = -(-capacity // SECTOR)
    target.write(_header(sectors, AT_END) + _description(sectors).ljust(20 * SECTOR, b"\0"))
    target.write(bytes((OVERHEAD - 21) * SECTOR))
    at, directory, table, zeros = OVERHEAD, list[int](), [0] * TABLE, bytes(GRAIN)
    grains = -(-sectors * SECTOR // GRAIN)
    for number in range(grains):
        data = source.read(GRAIN)
        if data and data != zeros[: len(data)]:
            packed = zlib.compress(data.ljust(GRAIN, b"\0"), 6)
            written = _padded(MARKER.pack(number * GRAIN // SECTOR, len(packed)) + packed)
            target.write(written)
            table[number % TABLE] = at
            at += len(written) // SECTOR
        if number % TABLE == TABLE - 1 or number == grains - 1:
            at = _write_table(target, table, directory, at)
            table = [0] * TABLE
        progress(min(capacity, (number + 1) * GRAIN))
    listed = _padded(struct.pack(f"<{len(directory)}I", *directory))
    target.write(_mark(len(listed) // SECTOR, DIRECTORY) + listed)
    target.write(_mark(1, FOOTER) + _header(sectors, at + 1) + _mark(0, END))


def _write_table(target: BinaryIO, table: list[int], directory: list[int], at: int) -> int:
    """Write a grain table unless all its entries are zero; return the next sector."""
    if not any(table):
        directory.append(0)
        return at
    listed = struct.pack(f"<{TABLE}I", *table)
    target.write(_mark(len(listed) // SECTOR, GRAIN_TABLE) + listed)
    directory.append(at + 1)
    return at + 1 + len(listed) // SECTOR


def decode(source: BinaryIO, target: BinaryIO, progress: Progress = lambda done: None, described: int | None = None) -> int:
    """Write the raw content of a streamOptimized VMDK, and return the disk's size in bytes.

    Grains of zeros are not written, so that a sparse file stays sparse. Memory is bounded by the size of one grain.

    Args:
        source: the VMDK. It is read from its first byte to its last, without seeking.
        target: where the content goes; it must be seekable.
        progress: is called with the number of bytes that are done.
        described: the disk's size in bytes by the appliance's description. A disk that is larger is refused; None does not check it.

    Raises:
        InvalidSpecError: it is no streamOptimized VMDK, it is broken or cut off, or its disk is too large.
    """
    head = _exactly(source, SECTOR)
    magic, _, flags, sectors, grain, _, _, _, _, directory, overhead, _, _, compression = HEADER.unpack_from(head)
    if magic != MAGIC or compression != DEFLATE or not flags & 0x20000:
        raise _broken("its beginning", "a streamOptimized VMDK (others: qemu-img convert -O vmdk -o subformat=streamOptimized)")
    if not 0 < overhead <= OVERHEAD_MOST or not 0 < grain <= 2**12:
        raise _broken("its header", f"at most {OVERHEAD_MOST} sectors before the first grain, and grains of at most 2 MiB")
    capacity: int = sectors * SECTOR
    allowed = CAPACITY_MOST if described is None else min(CAPACITY_MOST, described + ROUNDING)
    if capacity > allowed:
        raise _broken(f"a disk of {capacity} bytes", f"at most {allowed} bytes, by its description")
    _skip(source, overhead - 1)
    most = grain * SECTOR
    grains = -(-capacity // most)
    tables = OVERHEAD_MOST + 2 * TABLE_MOST + grains // 32
    while True:
        mark = source.read(SECTOR)
        if not mark and directory != AT_END:
            break  # QEMU writes the tables first, and nothing after the last grain
        mark += _exactly(source, SECTOR - len(mark))
        where, size = MARKER.unpack_from(mark)
        if size == 0:
            (kind,) = struct.unpack_from("<I", mark, MARKER.size)
            if kind == END:
                break
            if kind not in (GRAIN_TABLE, DIRECTORY, FOOTER) or where > TABLE_MOST:
                raise _broken("a marker", "one of the format's")
            tables -= where + 1
            if tables < 0:
                raise _broken("its tables", "at most two sets of tables for the grains of its disk")
            _skip(source, where)
            continue
        packed = mark[MARKER.size :]
        if size > 2 * most + SECTOR or where >= sectors:
            raise _broken("a grain", "within the disk")
        grains -= 1
        if grains < 0:  # a compressed file can repeat a grain without end
            raise _broken("a grain", "each grain once")
        if size > len(packed):
            more = MARKER.size + size
            packed += _exactly(source, -(-more // SECTOR) * SECTOR - SECTOR)
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(packed[:size], most)
        except zlib.error as error:
            raise _broken("a grain", "whole") from error
        if any(data):
            target.seek(where * SECTOR)
            target.write(data[: capacity - where * SECTOR])
        progress(where * SECTOR)
    target.truncate(capacity)
    return capacity


def _header(sectors: int, directory: int) -> bytes:
    packed = HEADER.pack(
        MAGIC, VERSION, FLAGS, sectors, GRAIN // SECTOR, 1, 20, TABLE, 0, directory, OVERHEAD, 0, b"\n \r\n", DEFLATE
    )
    return packed.ljust(SECTOR, b"\0")


def _description(sectors: int) -> bytes:
    cylinders = min(16383, sectors // (16 * 63))
    lines = (
        "# Disk DescriptorFile",
        "version=1",
        "CID=fffffffe",
        "parentCID=ffffffff",
        'createType="streamOptimized"',
        "",
        "# Extent description",
        f'RW {sectors} SPARSE "disk.vmdk"',
        "",
        "# The Disk Data Base",
        "#DDB",
        'ddb.virtualHWVersion = "4"',
        f'ddb.geometry.cylinders = "{cylinders}"',
        'ddb.geometry.heads = "16"',
        'ddb.geometry.sectors = "63"',
        'ddb.adapterType = "lsilogic"',
        "",
    )
    return "\n".join(lines).encode()


def _mark(sectors: int, kind: int) -> bytes:
    return (MARKER.pack(sectors, 0) + struct.pack("<I", kind)).ljust(SECTOR, b"\0")


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // SECTOR) * SECTOR, b"\0")


def _skip(source: BinaryIO, sectors: int) -> None:
    """Read sectors and discard them."""
    for _ in range(sectors):
        _exactly(source, SECTOR)


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = source.read(size - len(data))
        if not more:
            raise _broken("its end", "more: it is cut off")
        data += more
    return data


def _broken(what: str, allowed: str) -> InvalidSpecError:
    return InvalidSpecError("that VMDK can't be read", problems=[SpecProblem("vmdk", what, allowed)])


__all__ = ["GRAIN", "decode", "encode"]
