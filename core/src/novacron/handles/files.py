"""Local files that operations write."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from novacron.errors import AlreadyExistsError
from novacron.spare_files import SpareFile


@contextmanager
def new_file(file: str | Path) -> Iterator[BinaryIO]:
    """Open a new file for writing. It gets its name when the block has ended, so a file of that name is always whole.

    Until then it is a hidden file beside it, whose name ends with `.part`; it is deleted if the block fails. It leaves the disk a reserve.

    Raises:
        AlreadyExistsError: there is a file of that name, or one appeared meanwhile.
        ResourceAllocationError: there is no space for more.
    """
    path = Path(file)
    if os.path.lexists(path):
        raise _taken(path)
    part = path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}.part")  # a file system may allow 255 bytes, of 4 a character
    try:
        with SpareFile(part, "x+") as target:
            yield target
        try:
            os.link(part, path)
        except FileExistsError:
            raise _taken(path) from None
        except OSError:  # the file system has no links
            if os.path.lexists(path):
                raise _taken(path) from None
            part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def _taken(path: Path) -> AlreadyExistsError:
    return AlreadyExistsError(f"the file {str(path)!r} is already there", resource=str(path))


__all__ = ["new_file"]
