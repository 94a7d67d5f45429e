"""The migrations that workflows have under way, by host: so that no host has too many, whichever process makes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from novacron.store.settings import DEFAULTS
from novacron.store.tables import movings, settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from novacron.store.database import Database

LIMIT = "migrations_per_host"


class MovingStore:
    """Reads and writes them."""

    def __init__(self, database: Database | Callable[[], Database] | None = None) -> None:
        self._database = database

    def _transaction(self) -> AbstractContextManager[Connection]:
        from novacron.store.database import transaction

        if self._database is None:
            return transaction()
        return (self._database() if callable(self._database) else self._database).transaction()

    def take(self, moving: str, vm: str, hosts: Mapping[str, str], process: str, alive: Collection[str]) -> str | None:
        """Write a migration down at all its hosts, unless one of them has as many as it may.

        Args:
            moving: what identifies the migration.
            vm: the VM's name, for people.
            hosts: the hosts' names by URI.
            process: who makes it.
            alive: the processes that live; migrations of others no longer count.

        Returns:
            None when it may begin; otherwise which host is full, and with what.
        """
        with self._transaction() as connection:
            # the write comes first: of two processes that ask at once the second waits here until the first is through
            if connection.execute(settings.update().where(settings.c.name == LIMIT).values(value=settings.c.value)).rowcount == 0:
                connection.execute(settings.insert().values(name=LIMIT, value=DEFAULTS[LIMIT]))
            limit = connection.execute(sa.select(settings.c.value).where(settings.c.name == LIMIT)).scalar_one()
            connection.execute(movings.delete().where(movings.c.process.not_in([*alive, process])))
            for uri, name in sorted(hosts.items()):
                under_way = (
                    connection.execute(sa.select(movings.c.vm).where(movings.c.host == uri).order_by(movings.c.vm))
                    .scalars()
                    .all()
                )
                if len(under_way) >= limit:
                    return f"{name} has {len(under_way)} migrations under way ({', '.join(under_way)})"
            connection.execute(
                movings.insert(), [{"id": moving, "host": uri, "vm": vm, "process": process} for uri in sorted(hosts)]
            )
        return None

    def release(self, moving: str) -> None:
        """A migration has ended."""
        with self._transaction() as connection:
            connection.execute(movings.delete().where(movings.c.id == moving))


__all__ = ["LIMIT", "MovingStore"]
