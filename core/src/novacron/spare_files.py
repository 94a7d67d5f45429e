"""Local files whose length others decide: a server that sends without end must not fill the disk that everything else needs."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

from novacron.errors import ResourceAllocationError
from novacron.text import printable_line
from novacron.units import format_size

MOST_KEPT = 256 * 2**20
"""Bytes of a file system that stay free at most; of a small one, a hundredth of its size."""


SMALL = 2**20
"""Bytes of each file that may be of the reserve: a small file is written as long as the file system has space for it."""


class SpareFile(io.BufferedRandom):
    """A file for writing and reading that leaves its file system a reserve. Modes are "w+" and "x+".

    Raises:
        ResourceAllocationError: on writing, when only the reserve is left and the file is not small.
    """

    def __init__(self, path: str | Path, mode: str = "w+") -> None:
        super().__init__(io.FileIO(path, mode))
        self._path, self._allowed, self._kept = Path(path), SMALL, 0

    def write(self, data: Any, /) -> int:
        """Write bytes, if the file stays small, or there is space for them beside the reserve."""
        length = memoryview(data).nbytes
        if length > self._allowed:
            self._ask(length)
        self._allowed -= length
        return super().write(data)

    def _ask(self, length: int) -> None:
        """Allow bytes up to the next look at the file system."""
        use = shutil.disk_usage(self._path.parent)
        self._kept = min(MOST_KEPT, use.total // 100)
        if use.free - length < self._kept:
            raise ResourceAllocationError(
                f"no space for more of {printable_line(self._path.name)!r}: {format_size(use.free)} are free in "
                f"{printable_line(str(self._path.parent))}, and {format_size(self._kept)} of them stay free",
                resource=self._path.name,
                hint="free some space, or write to another disk; what was written so far is deleted",
                outcome="failed",
            )
        self._allowed = length + self._kept // 4


__all__ = ["SpareFile"]
