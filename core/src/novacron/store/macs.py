"""The MAC addresses that were assigned or seen in the fleets of one state database. No address is assigned twice.

SQLAlchemy is imported when the first address is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from novacron.store.base import Store


class MACStore(Store):
    """Reads and writes MAC addresses."""

    def claim(self, mac: str) -> bool:
        """Store an address. Return True if it was new; of several processes that claim it at once, only one gets True."""
        return self.add([mac]) == 1

    def add(self, addresses: Iterable[str]) -> int:
        """Store addresses; return the number of new ones."""
        from novacron.store.tables import macs

        rows = [{"address": address.lower()} for address in addresses]
        with self.transaction() as connection:
            insert = insert_of(connection.dialect.name)(macs).on_conflict_do_nothing().returning(macs.c.address)
            return sum(connection.execute(insert.values(**row)).first() is not None for row in rows)


def insert_of(dialect: str) -> Any:
    """Return the INSERT of a database that can ignore rows that exist."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as into_postgresql

        return into_postgresql
    from sqlalchemy.dialects.sqlite import insert

    return insert


__all__ = ["MACStore", "insert_of"]
