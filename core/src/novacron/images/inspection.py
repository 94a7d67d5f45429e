"""Looks into an image before it is used: its format, its size, and whether it refers to other files.

Images that refer to other files are refused; see `novacron.image_headers`.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from novacron.errors import ImageError
from novacron.image_headers import EXAMINED, reference
from novacron.jobs import Job
from novacron.spare_files import SpareFile
from novacron.units import format_size

UNPACKED_LIMIT = 1024**4
"""Bytes that a compressed image may have when it is unpacked: 1 TiB."""

CHUNK = 1024 * 1024


class ImageFormat(NamedTuple):
    """An image's format ("qcow2", "raw", "iso", "vmdk", "vhdx", "vdi") and the size of the disk in it, in bytes."""

    format: str
    virtual_bytes: int


def inspect(path: Path) -> ImageFormat:
    """Return the format and the size of an image.

    Raises:
        ImageError: not a disk image that is known (an error page for instance), or one that refers to other files.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        begun = file.read(EXAMINED)
        file.seek(32769)
        iso = file.read(5) == b"CD001"
    head = begun[:512]
    if needed := reference(begun):
        raise ImageError(
            f"{path.name} needs {needed}: a file of the host would be shown to the guest", hint="use a complete image"
        )
    if head.startswith(b"QFI\xfb"):
        return _qcow2(path, head)
    if iso:
        return ImageFormat("iso", size)
    if head.startswith(b"KDMV") and len(head) >= 20:
        return ImageFormat("vmdk", struct.unpack_from("<Q", head, 12)[0] * 512)
    if head.startswith(b"vhdxfile"):
        return ImageFormat("vhdx", size)
    if head[64:68] == b"\x7f\x10\xda\xbe" and len(head) >= 376:
        return ImageFormat("vdi", struct.unpack_from("<Q", head, 368)[0])
    if len(head) == 512 and head[510:] == b"\x55\xaa":
        return ImageFormat("raw", size)
    kind = "an HTML page" if re.match(rb"\s*<(!doctype|html)", head, re.IGNORECASE) else "of another kind"
    raise ImageError(
        f"{path.name} is not a disk image: it is {kind if head else 'empty'}",
        hint="qcow2, raw (with a partition table), ISO, VMDK, VHDX and VDI are known; a web page in its place means a wrong URL",
    )


def _qcow2(path: Path, head: bytes) -> ImageFormat:
    if len(head) < 104:
        raise ImageError(f"{path.name} is a qcow2 image that is cut off")
    version, virtual = struct.unpack_from(">I", head, 4)[0], struct.unpack_from(">Q", head, 24)[0]
    if version not in (2, 3):
        raise ImageError(f"{path.name} is a qcow2 image of the unknown version {version}")
    return ImageFormat("qcow2", virtual)


def unpacked(path: Path, job: Job[Any], *, limit: int = UNPACKED_LIMIT) -> Path:
    """Return an image without compression; a compressed one (xz, gzip, bzip2) is unpacked beside it, others are returned as they are.

    Raises:
        ImageError: damaged, or larger than `limit` bytes when unpacked.
        OperationCancelledError: the job was cancelled.
    """
    with path.open("rb") as file:
        opener = _opener(file.read(6))
    if opener is None:
        return path
    target = path.with_name(path.name + ".unpacked")
    if target.is_file() and target.stat().st_mtime >= path.stat().st_mtime:
        return target
    part, done = target.with_name(target.name + ".part"), 0
    try:
        with opener(path) as packed, SpareFile(part) as file:
            while piece := packed.read(CHUNK):
                done += len(piece)
                if done > limit:
                    raise ImageError(f"{path.name} has more than {format_size(limit)} when it is unpacked")
                if piece.count(0) == len(piece):
                    file.seek(len(piece), os.SEEK_CUR)  # a hole instead of zeros
                else:
                    file.write(piece)
                job.report("unpacking", None, transferred_bytes=done)
                job.raise_if_cancelled()
            file.truncate(done)
        os.replace(part, target)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise ImageError(f"{path.name} can't be unpacked: {error}", hint="the file is damaged; pull it again") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _opener(head: bytes) -> Callable[[Path], BinaryIO] | None:
    if head.startswith(b"\xfd7zXZ"):
        return lambda path: lzma.open(path, "rb")  # type: ignore[return-value]
    if head.startswith(b"\x1f\x8b"):
        return lambda path: gzip.open(path, "rb")  # type: ignore[return-value]
    if head.startswith(b"BZh"):
        return lambda path: bz2.open(path, "rb")  # type: ignore[return-value]
    return None


__all__ = ["UNPACKED_LIMIT", "ImageFormat", "inspect", "unpacked"]
