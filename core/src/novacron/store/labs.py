"""Which resources each lab created. Only these may be deleted when a lab no longer has them."""

from __future__ import annotations

from collections.abc import Iterable

from novacron.store.base import Store
from novacron.store.macs import insert_of

Owned = tuple[str, str, str]
"""URI of a host, kind of a resource, and its name."""


class LabStore(Store):
    """Reads and writes the resources of labs."""

    def owned(self, lab: str) -> frozenset[Owned]:
        """Return the resources that the lab created."""
        from novacron.store.tables import lab_resources as table

        with self.transaction() as connection:
            rows = connection.execute(table.select().where(table.c.lab == lab))
            return frozenset((row.host, row.kind, row.name) for row in rows)

    def add(self, lab: str, resources: Iterable[Owned]) -> None:
        """Store resources before the lab creates them, so that a process that is killed in between leaves none without an owner."""
        from novacron.store.tables import lab_resources as table

        with self.transaction() as connection:
            insert = insert_of(connection.dialect.name)(table).on_conflict_do_nothing()
            for host, kind, name in resources:
                connection.execute(insert.values(lab=lab, host=host, kind=kind, name=name))

    def remove(self, lab: str, resources: Iterable[Owned]) -> None:
        """Forget resources that no longer exist."""
        from novacron.store.tables import lab_resources as table

        with self.transaction() as connection:
            for host, kind, name in resources:
                where = (table.c.lab == lab) & (table.c.host == host) & (table.c.kind == kind) & (table.c.name == name)
                connection.execute(table.delete().where(where))


__all__ = ["LabStore", "Owned"]
