"""Which resources each lab created. Only these may be deleted when a lab no longer has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from novacron.store.base import Store
from novacron.store.macs import insert_of

Owned = tuple[str, str, str]
"""URI of a host, kind of a resource, and its name."""


class LabStore(Store):
    """Reads and writes the resources of labs."""

    def owned(self, lab: str) -> dict[Owned, dict[str, Any] | None]:
        """Return the resources that the lab created, each with what `add` stored; None if it was stored by an older version."""
        from novacron.store.tables import lab_resources as table

        with self.transaction() as connection:
            rows = connection.execute(table.select().where(table.c.lab == lab))
            return {(row.host, row.kind, row.name): row.created for row in rows}

    def add(self, lab: str, resources: Mapping[Owned, Mapping[str, Any] | None]) -> None:
        """Store resources before the lab creates them, so that a process that is killed in between leaves none without an owner.

        Args:
            resources: the resources, each with fields that its host will not report.
        """
        from novacron.store.tables import lab_resources as table

        with self.transaction() as connection:
            insert = insert_of(connection.dialect.name)(table)
            again = insert.on_conflict_do_update(
                index_elements=list(table.primary_key), set_={"created": insert.excluded.created}
            )
            for (host, kind, name), created in resources.items():
                connection.execute(again.values(lab=lab, host=host, kind=kind, name=name, created=created))

    def remove(self, lab: str, resources: Iterable[Owned]) -> None:
        """Forget resources that no longer exist."""
        from novacron.store.tables import lab_resources as table

        with self.transaction() as connection:
            for host, kind, name in resources:
                where = (table.c.lab == lab) & (table.c.host == host) & (table.c.kind == kind) & (table.c.name == name)
                connection.execute(table.delete().where(where))


__all__ = ["LabStore", "Owned"]
