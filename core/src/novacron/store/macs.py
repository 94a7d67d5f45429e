"""The MAC addresses that are given out, or were seen, in the fleets of one state database: none is given out twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from novacron.store.tables import macs

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from novacron.store.database import Database


class MACStore:
    """Reads and writes them."""

    def __init__(self, database: Database | Callable[[], Database]) -> None:
        self._database = database

    def _transaction(self) -> AbstractContextManager[Connection]:
        return (self._database() if callable(self._database) else self._database).transaction()

    def claim(self, mac: str) -> bool:
        """Write an address down. Return whether nobody had; of processes that ask at once one is told so."""
        return self.add([mac]) == 1

    def add(self, addresses: Iterable[str]) -> int:
        """Write addresses down; return how many are new."""
        rows = [{"address": address.lower()} for address in addresses]
        with self._transaction() as connection:
            insert = _insert(connection.dialect.name)(macs).on_conflict_do_nothing().returning(macs.c.address)
            return sum(connection.execute(insert.values(**row)).first() is not None for row in rows)


def _insert(dialect: str) -> Any:
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as into_postgresql

        return into_postgresql
    from sqlalchemy.dialects.sqlite import insert

    return insert


__all__ = ["MACStore"]
