"""The fence devices of nodes, in the state database. Options contain names of secrets, never their values."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from novacron.records.fencing import FenceDevice

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from novacron.store.database import Database


class FenceStore:
    """Reads and writes fence devices.

    Args:
        database: returns the state database.
    """

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    def _transaction(self) -> AbstractContextManager[Connection]:
        return self._database().transaction()

    def list(self, node: str | None = None) -> list[FenceDevice]:
        """Return the devices of a node, or of all nodes, sorted by node, level and name."""
        from novacron.store.tables import fence_devices as t

        query = t.select().order_by(t.c.node, t.c.level, t.c.name)
        with self._transaction() as connection:
            rows = connection.execute(query if node is None else query.where(t.c.node == node)).mappings().all()
        return [_device(row) for row in rows]

    def save(self, device: FenceDevice) -> None:
        """Store a device; it replaces one of the same node and name."""
        from novacron.store.tables import fence_devices as t

        values = {"agent": device.agent, "level": device.level, "options": device.options}
        with self._transaction() as connection:
            same = (t.c.node == device.node) & (t.c.name == device.name)
            if not connection.execute(t.update().where(same).values(**values)).rowcount:
                connection.execute(t.insert().values(node=device.node, name=device.name, **values))

    def remove(self, node: str, name: str) -> bool:
        """Delete a device. Returns whether it existed."""
        from novacron.store.tables import fence_devices as t

        with self._transaction() as connection:
            return bool(connection.execute(t.delete().where(t.c.node == node, t.c.name == name)).rowcount)


def _device(row: Any) -> FenceDevice:
    return FenceDevice(node=row["node"], name=row["name"], agent=row["agent"], level=row["level"], options=dict(row["options"]))


__all__ = ["FenceStore"]
