"""The content of simulated volumes. Blocks of zeros take no memory."""

from __future__ import annotations

import os
from typing import BinaryIO

BLOCK = 64 * 1024
_ZERO = bytes(BLOCK)


class Content:
    """Sparse bytes of some length; a copy shares all blocks.

    Example:
        >>> import io
        >>> content = Content()
        >>> content.write(0, b"boot" + bytes(3 * BLOCK))
        >>> content.length, content.allocated
        (196612, 65536)
    """

    __slots__ = ("blocks", "length")

    def __init__(self, blocks: dict[int, bytes] | None = None, length: int = 0) -> None:
        self.blocks = {} if blocks is None else blocks
        self.length = length

    @property
    def allocated(self) -> int:
        """The number of stored bytes."""
        return len(self.blocks) * BLOCK

    def copy(self) -> Content:
        """Return an independent copy."""
        return Content(dict(self.blocks), self.length)

    def write(self, offset: int, data: bytes) -> None:
        """Write `data` at `offset`, a multiple of the block size. Content after the last block stays unchanged."""
        for start in range(0, len(data), BLOCK):
            block = data[start : start + BLOCK].ljust(BLOCK, b"\0")
            if block == _ZERO:
                self.blocks.pop((offset + start) // BLOCK, None)
            else:
                self.blocks[(offset + start) // BLOCK] = block
        self.length = max(self.length, offset + len(data))

    def write_to(self, target: BinaryIO, length: int) -> None:
        """Write `length` bytes to a file. In seekable files, holes stay holes."""
        seekable = target.seekable()
        start = target.tell() if seekable else 0
        if seekable:
            target.truncate(start)  # what was there before must not show in the holes
            for number in sorted(self.blocks):
                if number * BLOCK < length:
                    target.seek(start + number * BLOCK)
                    target.write(self.blocks[number][: length - number * BLOCK])
            target.truncate(start + length)
            if target.seek(0, 2) < start + length:  # a BytesIO does not grow when truncated
                target.seek(start + length - 1)
                target.write(b"\0")
            return
        for number in range(-(-length // BLOCK)):
            target.write(self.blocks.get(number, _ZERO)[: length - number * BLOCK])


def data_ranges(source: BinaryIO) -> list[tuple[int, int]] | None:
    """Return the ranges of a file that contain data, from the current position on; None if it is not known (pipes, buffers)."""
    try:
        descriptor, here = source.fileno(), source.tell()
        end = os.fstat(descriptor).st_size
        found, at = [], here
        while at < end:
            try:
                begin = os.lseek(descriptor, at, os.SEEK_DATA)
            except OSError:
                break  # only a hole is left
            at = os.lseek(descriptor, begin, os.SEEK_HOLE)
            found.append((begin, at))
        source.seek(here)
    except (OSError, AttributeError):
        return None
    return found


__all__ = ["BLOCK", "Content", "data_ranges"]
