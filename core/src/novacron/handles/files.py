"""Local files that operations write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from novacron.errors import AlreadyExistsError


@contextmanager
def new_file(file: str | Path) -> Iterator[BinaryIO]:
    """Open a new file for writing. It is deleted if the block fails. Raises AlreadyExistsError if it exists."""
    path = Path(file)
    try:
        target = path.open("xb")
    except FileExistsError:
        raise AlreadyExistsError(f"the file {str(path)!r} is already there", resource=str(path)) from None
    try:
        with target:
            yield target
    except BaseException:
        path.unlink(missing_ok=True)
        raise


__all__ = ["new_file"]
