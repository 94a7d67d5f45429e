"""Tells quickly whether the capacity of any node is managed, without SQLAlchemy where the answer is no.

A script that uses no group of nodes should not wait for a database. With SQLite the answer is kept until the file changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from novacron.store.quick import read_rows, sqlite_file

if TYPE_CHECKING:
    from novacron.store.database import Database

SETTLED = 0.1
"""Seconds. An answer is kept only if the file is older: two changes at nearly the same time may have the same time stamp."""

_Stamp = tuple[tuple[int, int], ...]


class ManagedNodes:
    """Whether any node belongs to a group.

    Args:
        url: returns the URL of the state database.
        database: returns the state database.
    """

    def __init__(self, url: Callable[[], str], database: Callable[[], Database]) -> None:
        self._url, self._database = url, database
        self._known: tuple[str, _Stamp, bool] | None = None

    def __bool__(self) -> bool:
        """Raises StorageError if the database can't be read."""
        url = self._url()
        file = sqlite_file(url)
        if file is None:
            return self._asked()
        stamp, newest = _stamp(file)
        if not stamp:
            return False
        if self._known is not None and self._known[:2] == (url, stamp):
            return self._known[2]
        found = bool(read_rows(file, "SELECT 1 FROM nodes WHERE group_name IS NOT NULL LIMIT 1"))
        if time.time() - newest > SETTLED:
            self._known = url, stamp, found
        return found

    def _asked(self) -> bool:
        from novacron.store.tables import nodes

        with self._database().transaction() as connection:
            return connection.execute(nodes.select().where(nodes.c.group_name.is_not(None)).limit(1)).first() is not None


def _stamp(file: Path) -> tuple[_Stamp, float]:
    """Return the sizes and times of the database and its write-ahead log, and the latest time. Empty if there is no database."""
    found = []
    for path in (file, Path(f"{file}-wal")):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((status.st_size, status.st_mtime_ns))
    return tuple(found), max((changed for _, changed in found), default=0) / 1e9


__all__ = ["ManagedNodes"]
