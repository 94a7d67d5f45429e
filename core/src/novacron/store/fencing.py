"""The fence devices of nodes, in the state database. Options contain names of secrets, never their values."""

from __future__ import annotations

from typing import Any

from novacron.records.fencing import FenceDevice
from novacron.store.base import Store


class FenceStore(Store):
    """Reads and writes fence devices."""

    def list(self, node: str | None = None) -> list[FenceDevice]:
        """Return the devices of a node, or of all nodes, sorted by node, level and name."""
        from novacron.store.tables import fence_devices as t

        query = t.select().order_by(t.c.node, t.c.level, t.c.name)
        with self.transaction() as connection:
            rows = connection.execute(query if node is None else query.where(t.c.node == node)).mappings().all()
        return [_device(row) for row in rows]

    def save(self, device: FenceDevice) -> None:
        """Store a device; it replaces one of the same node and name."""
        from novacron.store.tables import fence_devices as t

        values = {"agent": device.agent, "level": device.level, "options": device.options}
        with self.transaction() as connection:
            same = (t.c.node == device.node) & (t.c.name == device.name)
            if not connection.execute(t.update().where(same).values(**values)).rowcount:
                connection.execute(t.insert().values(node=device.node, name=device.name, **values))

    def remove(self, node: str, name: str) -> bool:
        """Delete a device. Returns whether it existed."""
        from novacron.store.tables import fence_devices as t

        with self.transaction() as connection:
            return bool(connection.execute(t.delete().where(t.c.node == node, t.c.name == name)).rowcount)


def _device(row: Any) -> FenceDevice:
    return FenceDevice(node=row["node"], name=row["name"], agent=row["agent"], level=row["level"], options=dict(row["options"]))


__all__ = ["FenceStore"]
