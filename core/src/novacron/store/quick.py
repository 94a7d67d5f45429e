"""Reads rows of the state database without SQLAlchemy, which takes longer to import than listing VMs takes.

Only SQLite can be read like this. Everything else, and everything that writes, uses `novacron.store.database`.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

SCHEME = "sqlite:///"


def sqlite_file(url: str) -> Path | None:
    """Return the file of the state database; None if it is not SQLite.

    Example:
        >>> sqlite_file("sqlite:////var/lib/novacron/state.db"), sqlite_file("postgresql://db/novacron")
        (PosixPath('/var/lib/novacron/state.db'), None)
    """
    return Path(url.removeprefix(SCHEME)) if url.startswith(SCHEME) else None


def is_private(file: Path) -> bool:
    """Return whether only this user and root can write to the folder of a file, and the file is no link.

    Such a file can be read at once. `novacron.store.database` rejects any other state database with a reason.
    """
    try:
        folder = file.parent.stat()
    except OSError:
        return False
    mine = os.name != "posix" or (folder.st_uid in (os.geteuid(), 0) and not folder.st_mode & 0o022)
    return mine and not file.is_symlink()


def read_rows(file: Path, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a SELECT statement; none if the file or the table does not exist yet.

    Raises:
        StorageError: the file can't be read, or is no database.
    """
    if not file.exists():
        return []
    import sqlite3

    try:
        with closing(sqlite3.connect(file, timeout=15)) as connection:
            return connection.execute(statement).fetchall()
    except sqlite3.Error as error:
        if "no such" in str(error):  # a database of an older version, or one that is being created
            return []
        from novacron.errors import StorageError

        raise StorageError(f"the state database can't be read: {error}", hint="check the state directory") from error


__all__ = ["is_private", "read_rows", "sqlite_file"]
