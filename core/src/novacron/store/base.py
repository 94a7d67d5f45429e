"""The base of the classes that read and write one area of the state database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from novacron.store.database import Database


class Store:
    """Reads and writes one area of the state database.

    Args:
        database: the state database, or a function that returns it. A function is called at the first use, so that a command
            that never reads the database does not load SQLAlchemy.
    """

    def __init__(self, database: Database | Callable[[], Database]) -> None:
        self._database = database

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of the state database>"

    def transaction(self) -> AbstractContextManager[Connection]:
        """Open a transaction, see `Database.transaction`. Raises StorageError."""
        return (self._database() if callable(self._database) else self._database).transaction()


__all__ = ["Store"]
