"""Tasks that one process at a time does for all, such as the collection of metrics.

The holder is a process of `ProcessStore`. If it is dead, another one may take the lease: the fence grows, and from then on all writes
of the former holder are refused, because each of them checks the fence in its own transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from novacron.errors import BusyError
from novacron.store.base import Store
from novacron.store.processes import ProcessStore
from novacron.store.tables import leases

if TYPE_CHECKING:
    from novacron.store.database import Database


class Lease(msgspec.Struct, frozen=True):
    """The right to do a task. `fence` counts the holders of the task."""

    name: str
    process: str
    fence: int

    def check(self, connection: sa.Connection) -> None:
        """Make sure, within a transaction, that the lease is still held. The row stays locked until the transaction ends.

        Raises:
            BusyError: another process has taken the lease.
        """
        mine = (leases.c.name == self.name) & (leases.c.process == self.process) & (leases.c.fence == self.fence)
        if connection.execute(leases.update().where(mine).values(fence=self.fence)).rowcount == 0:
            raise BusyError(f"another process has taken over the task {self.name!r}", outcome="not_sent", hint="nothing is to do")


class LeaseStore(Store):
    """Reads and writes the leases."""

    def __init__(self, database: Database | Callable[[], Database]) -> None:
        super().__init__(database)
        self._processes = ProcessStore(database)

    def take(self, name: str, process: str) -> Lease | None:
        """Take the lease of a task if it is free, ours already, or its holder is dead.

        Returns:
            The lease, or None if another live process holds it.
        """
        with self.transaction() as connection:
            row = connection.execute(leases.select().where(leases.c.name == name)).first()
        if row is not None and row.process == process:
            return Lease(name, process, row.fence)
        if row is not None and any(one.id == row.process and one.alive for one in self._processes.list()):
            return None
        try:
            with self.transaction() as connection:
                if row is None:
                    connection.execute(leases.insert().values(name=name, process=process, fence=1))
                    return Lease(name, process, 1)
                seen = (leases.c.name == name) & (leases.c.fence == row.fence)
                taken = connection.execute(leases.update().where(seen).values(process=process, fence=row.fence + 1))
                return Lease(name, process, row.fence + 1) if taken.rowcount else None
        except sa.exc.IntegrityError:
            return None  # another process was quicker

    def release(self, lease: Lease) -> None:
        """Give a lease back, so that another process can take it at once. The fence keeps counting."""
        mine = (leases.c.name == lease.name) & (leases.c.process == lease.process) & (leases.c.fence == lease.fence)
        with self.transaction() as connection:
            connection.execute(leases.update().where(mine).values(process=""))

    def holder(self, name: str) -> str | None:
        """Return the displayed name of the live process that holds a task, None if there is none."""
        with self.transaction() as connection:
            row = connection.execute(leases.select().where(leases.c.name == name)).first()
        return None if row is None else next((p.name for p in self._processes.list() if p.id == row.process and p.alive), None)


__all__ = ["Lease", "LeaseStore"]
