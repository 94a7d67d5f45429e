"""The migrations that workflows have under way, by host: so that no host has too many, whichever process makes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from novacron.store.database import transaction
from novacron.store.settings import DEFAULTS
from novacron.store.tables import movings, settings

LIMIT = "migrations_per_host"


class MovingStore:
    """Reads and writes them."""

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
        with transaction() as connection:
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
        with transaction() as connection:
            connection.execute(movings.delete().where(movings.c.id == moving))


__all__ = ["LIMIT", "MovingStore"]
