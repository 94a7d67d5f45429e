"""The rolling updates of groups. Each write checks the fencing number of the lease of the process that carries the update out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from novacron.conversion import convert
from novacron.records.rolling_updates import RollingUpdate
from novacron.store.base import Store

if TYPE_CHECKING:
    from novacron.store.database import Database
    from novacron.store.leases import Lease


class RollingUpdateStore(Store):
    """Reads and writes the rolling updates.

    Args:
        database: the state database, or a function that returns it.
        process: joins the state database and returns the id of this process.
    """

    def __init__(self, database: Database | Callable[[], Database], process: Callable[[], str]) -> None:
        super().__init__(database)
        self._process = process

    def take(self, group: str) -> Lease | None:
        """Take the right to update a group. Returns None if another live process has it."""
        from novacron.store.leases import LeaseStore

        task = "rolling-update " + hashlib.sha256(group.encode()).hexdigest()[:16]  # names of groups are too long for the column
        return LeaseStore(self._database).take(task, self._process())

    def release(self, lease: Lease) -> None:
        """Give the right back."""
        from novacron.store.leases import LeaseStore

        LeaseStore(self._database).release(lease)

    def find(self, group: str) -> RollingUpdate | None:
        """Return the latest rolling update of a group; None if there was none."""
        from novacron.store.tables import rolling_updates as t

        with self.transaction() as connection:
            row = connection.execute(t.select().where(t.c.group_name == group)).first()
        return None if row is None else convert(row.data, RollingUpdate)

    def save(self, update: RollingUpdate, lease: Lease) -> None:
        """Store a rolling update in place of the one that the group had.

        Raises:
            BusyError: another process has taken over.
        """
        from novacron.store.tables import rolling_updates as t

        with self.transaction() as connection:
            lease.check(connection)
            known = connection.execute(t.update().where(t.c.group_name == update.group).values(data=update.as_dict()))
            if not known.rowcount:
                connection.execute(t.insert().values(group_name=update.group, data=update.as_dict()))


__all__ = ["RollingUpdateStore"]
