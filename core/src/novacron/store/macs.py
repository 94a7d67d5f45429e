"""The MAC addresses that are given out, or were seen, in the fleets of one state database: none is given out twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from novacron.store.database import transaction
from novacron.store.tables import macs


class MACStore:
    """Reads and writes them."""

    def claim(self, mac: str) -> bool:
        """Write an address down. Return whether nobody had; of processes that ask at once one is told so."""
        return self.add([mac]) == 1

    def add(self, addresses: Iterable[str]) -> int:
        """Write addresses down; return how many are new."""
        rows = [{"address": address.lower()} for address in addresses]
        with transaction() as connection:
            insert = _insert(connection.dialect.name)(macs).on_conflict_do_nothing().returning(macs.c.address)
            return sum(connection.execute(insert.values(**row)).first() is not None for row in rows)


def _insert(dialect: str) -> Any:
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as into_postgresql

        return into_postgresql
    from sqlalchemy.dialects.sqlite import insert

    return insert


__all__ = ["MACStore"]
