"""Limits the concurrent migrations of workflows per host, for all processes of the state database."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from novacron.store.base import Store
from novacron.store.settings import DEFAULTS
from novacron.store.tables import migration_slots, settings

LIMIT = "migrations_per_host"


class MigrationSlots(Store):
    """The running migrations by host."""

    def take(self, migration: str, vm: str, hosts: Mapping[str, str], process: str, alive: Collection[str]) -> str | None:
        """Record a migration at all its hosts, unless one of them has reached its limit.

        Args:
            migration: id of the migration.
            vm: the VM's name, for messages.
            hosts: the hosts' names by URI.
            process: the process that runs the migration.
            alive: ids of the live processes. Migrations of other processes do not count.

        Returns:
            None if the migration may start; otherwise a text that names the host and its running migrations.
        """
        with self.transaction() as connection:
            # the write comes first: of two processes that ask at once the second waits here until the first is through
            if connection.execute(settings.update().where(settings.c.name == LIMIT).values(value=settings.c.value)).rowcount == 0:
                connection.execute(settings.insert().values(name=LIMIT, value=DEFAULTS[LIMIT]))
            limit = connection.execute(sa.select(settings.c.value).where(settings.c.name == LIMIT)).scalar_one()
            connection.execute(migration_slots.delete().where(migration_slots.c.process.not_in([*alive, process])))
            for uri, name in sorted(hosts.items()):
                under_way = (
                    connection.execute(
                        sa.select(migration_slots.c.vm).where(migration_slots.c.host == uri).order_by(migration_slots.c.vm)
                    )
                    .scalars()
                    .all()
                )
                if len(under_way) >= limit:
                    return f"{name} has {len(under_way)} migrations under way ({', '.join(under_way)})"
            connection.execute(
                migration_slots.insert(), [{"id": migration, "host": uri, "vm": vm, "process": process} for uri in sorted(hosts)]
            )
        return None

    def release(self, migration: str) -> None:
        """Remove a migration that has ended."""
        with self.transaction() as connection:
            connection.execute(migration_slots.delete().where(migration_slots.c.id == migration))


__all__ = ["LIMIT", "MigrationSlots"]
