"""The nodes of the fleet and the settings of their groups, in the state database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import msgspec

from novacron.records.capacity import FleetNode, Inventory
from novacron.store.base import Store
from novacron.units import format_size

if TYPE_CHECKING:
    from novacron.records.host import Node
    from novacron.store.database import Database

RESOURCES = ("vcpus", "memory", "storage")
"""The resources that are claimed."""


OBSERVED = ("up", "unreachable", "suspect")
"""The statuses that follow from what is seen of a node. The other ones are set by a person or by a failover."""


class FoundNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node as its hypervisor describes it. Sizes are in bytes."""

    id: str
    name: str
    host: str
    cpus: int
    memory: int
    storage: int = 0
    status: str = "up"
    balanced_by: str | None = None
    restarted_by: str | None = None
    cpu_percent: float | None = None
    memory_used: int | None = None
    storage_used: int | None = None


def node_id(node: Node, host: str) -> str:
    """Return the id under which a node is stored: the UUID of the machine, or its place if the hypervisor tells no UUID.

    Example:
        >>> from novacron.records.host import Node
        >>> node_id(Node(name="n1", host="vc", cpus=4, memory_bytes=2**30), "vc")
        'vc/n1'
    """
    return node.id or f"{host}/{node.name}"


class NodeStore(Store):
    """Reads and writes nodes and groups.

    Args:
        database: the state database, see `Store`.
        lock: holds the lock of that name against all other processes.
    """

    def __init__(
        self,
        database: Database | Callable[[], Database],
        lock: Callable[[str], AbstractContextManager[None]] = lambda key: nullcontext(),
    ) -> None:
        super().__init__(database)
        self._lock = lock

    def changing(self) -> AbstractContextManager[None]:
        """Let nobody else change settings and labels during a block that reads them and writes them back. Raises BusyError."""
        return self._lock("settings of nodes")

    def list(self) -> list[FleetNode]:
        """Return all nodes, sorted by name."""
        from novacron.store.tables import nodes

        with self.transaction() as connection:
            rows = connection.execute(nodes.select().order_by(nodes.c.name, nodes.c.id)).mappings().all()
        return [node_of(row) for row in rows]

    def find(self, node: str) -> FleetNode | None:
        """Return the node of that id; None if there is none."""
        from novacron.store.tables import nodes

        with self.transaction() as connection:
            row = connection.execute(nodes.select().where(nodes.c.id == node)).mappings().first()
        return None if row is None else node_of(row)

    def save(self, found: FoundNode, hosts: Sequence[str], limits: Callable[[str | None, Any], Mapping[str, Any]]) -> None:
        """Store what a node's hypervisor reports. A new node has no group.

        Args:
            found: the report.
            hosts: all names of the fleet that lead to the node.
            limits: returns the columns `*_ratio` and `*_reserved` for a group and the node's own settings.
        """
        from novacron.store.database import clock
        from novacron.store.tables import nodes

        with self.transaction() as connection:
            known = connection.execute(nodes.select().where(nodes.c.id == found.id)).mappings().first()
            values = {
                "name": found.name,
                "host": hosts[0],
                "hosts": [*hosts],
                "status": found.status,
                "balanced_by": found.balanced_by,
                "restarted_by": found.restarted_by,
                "vcpus_total": found.cpus,
                "memory_total": found.memory,
                "storage_total": found.storage,
                "cpu_percent": found.cpu_percent,
                "memory_used": found.memory_used,
                "storage_used": found.storage_used,
                "seen_at": clock(connection),
            }
            if known is not None:
                values["status"] = _kept_or(found.status)
                connection.execute(nodes.update().where(nodes.c.id == found.id).values(**values))
                return
            fresh: dict[str, Any] = {"cordoned": False, "labels": {}, "settings": {}, "generation": 0, **limits(None, {})}
            fresh |= {f"{resource}_allocated": 0 for resource in RESOURCES}
            connection.execute(nodes.insert().values(id=found.id, **values, **fresh))

    def change(self, node: str, *, only: Collection[str] | None = None, **values: Any) -> bool:
        """Set columns of a node.

        Args:
            node: the node's id.
            only: the statuses in which the node is changed; None for all. Another process may have changed it since it was read.
            values: the new values.

        Returns:
            Whether it was changed.
        """
        from novacron.store.tables import nodes

        same = nodes.c.id == node if only is None else (nodes.c.id == node) & nodes.c.status.in_(only)
        with self.transaction() as connection:
            return bool(connection.execute(nodes.update().where(same).values(**values)).rowcount)

    def settings(self, node: str) -> dict[str, Any]:
        """Return the node's own settings."""
        from novacron.store.tables import nodes

        with self.transaction() as connection:
            found = connection.execute(nodes.select().where(nodes.c.id == node)).mappings().first()
            return dict(found["settings"]) if found is not None else {}

    def evacuated(self, node: str) -> Sequence[str]:
        """Return the ids of the VMs that come back after the maintenance of a node."""
        from novacron.store.tables import nodes

        with self.transaction() as connection:
            found = connection.execute(nodes.select().where(nodes.c.id == node)).mappings().first()
            return tuple(found["evacuated"] or ()) if found is not None else ()

    def limit(self, changes: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        """Change settings of nodes and groups in one transaction.

        A limit that is below what is allocated is not set: then nothing is changed at all.

        Args:
            changes: new columns by node id, with `*_ratio` and `*_reserved`.
            groups: new settings by group; "" stands for the whole fleet.

        Returns:
            Why a limit can't be set, by node id; empty if everything was set.
        """
        import sqlalchemy as sa

        from novacron.store.tables import allocations, node_groups, nodes

        refused: dict[str, Sequence[str]] = {}
        with self.transaction() as connection:
            for node, values in sorted(changes.items()):
                connection.execute(nodes.update().where(nodes.c.id == node).values(**values))
                row = connection.execute(nodes.select().where(nodes.c.id == node)).mappings().one()
                locked = connection.execute(allocations.select().where(allocations.c.node == node)).mappings().all()
                if why := [*_exceeded(row), *_not_overcommitted(row, locked)]:
                    refused[node] = why
            if refused:
                connection.rollback()
                return refused
            for name, settings in groups.items():
                if not connection.execute(
                    node_groups.update().where(node_groups.c.name == name).values(settings=settings)
                ).rowcount:
                    connection.execute(sa.insert(node_groups).values(name=name, settings=settings))
        return refused

    def remove(self, kept: Sequence[str]) -> Sequence[str]:
        """Delete the nodes that no name of the fleet leads to, with their allocations. `kept` are the names; returns the nodes' names."""
        from novacron.store.tables import allocations, nodes

        with self.transaction() as connection:
            rows = connection.execute(nodes.select()).mappings().all()
            gone = [row for row in rows if not set(row["hosts"]) & set(kept)]
            for row in gone:
                connection.execute(allocations.delete().where(allocations.c.node == row["id"]))
                connection.execute(nodes.delete().where(nodes.c.id == row["id"]))
        return [row["name"] for row in gone]

    def groups(self) -> dict[str, dict[str, Any]]:
        """Return the settings of all groups by name; "" has those of the whole fleet."""
        from novacron.store.tables import node_groups

        with self.transaction() as connection:
            return {row.name: dict(row.settings) for row in connection.execute(node_groups.select())}

    def remove_group(self, name: str) -> bool:
        """Delete the settings of a group. Returns whether there were any."""
        from novacron.store.tables import node_groups

        with self.transaction() as connection:
            return bool(connection.execute(node_groups.delete().where(node_groups.c.name == name)).rowcount)


def node_of(row: Any) -> FleetNode:
    """Return the record of a row of the table."""
    return FleetNode(
        id=row["id"],
        name=row["name"],
        host=row["host"],
        hosts=tuple(row["hosts"]),
        status=row["status"],
        cordoned=row["cordoned"],
        reason=row["reason"] or "",
        group=row["group_name"],
        labels=row["labels"],
        vcpus=inventory_of(row, "vcpus"),
        memory=inventory_of(row, "memory"),
        storage=inventory_of(row, "storage"),
        cpu_percent=row["cpu_percent"],
        balanced_by=row["balanced_by"],
        restarted_by=row["restarted_by"],
        seen_at=row["seen_at"],
    )


def inventory_of(row: Any, resource: str) -> Inventory:
    """Return one resource of a row of the table."""
    used = None
    if resource == "vcpus":
        used = None if row["cpu_percent"] is None else row["cpu_percent"] / 100 * row["vcpus_total"]
    else:
        used = row[f"{resource}_used"]
    return Inventory(
        total=row[f"{resource}_total"],
        reserved=row[f"{resource}_reserved"],
        ratio=row[f"{resource}_ratio"],
        allocated=row[f"{resource}_allocated"],
        used=used,
    )


def _exceeded(row: Any) -> Iterator[str]:
    for resource in RESOURCES:
        inventory = inventory_of(row, resource)
        if inventory.allocated > inventory.limit:
            shown: Callable[[float], str] = (lambda n: f"{n:g}") if resource == "vcpus" else (lambda n: format_size(int(n)))
            yield f"{resource}: {shown(inventory.allocated)} are allocated, the limit would be {shown(inventory.limit)}"


def _not_overcommitted(row: Any, allocated: Sequence[Any]) -> Iterator[str]:
    if row["memory_ratio"] is not None and row["memory_ratio"] <= 1:
        return
    vms = sorted(f"{each['name']} ({', '.join(each['locked'])})" for each in allocated if each["locked"])
    if vms:
        yield f"memory: a ratio above 1 is not possible with the memory of {', '.join(vms)}"


def _kept_or(status: str) -> Any:
    """Return an SQL expression for the status of a node whose hypervisor reports `status`.

    The status that a person or a failover has set is kept, also one that is set while the hypervisor is asked. Maintenance without a
    reason was reported by the hypervisor itself, as vCenter does with its maintenance mode.
    """
    import sqlalchemy as sa

    from novacron.store.tables import nodes

    seen: sa.ColumnElement[bool] = nodes.c.status.in_(OBSERVED)
    if status == "up":
        seen |= (nodes.c.status == "maintenance") & (sa.func.coalesce(nodes.c.reason, "") == "")
    return sa.case((seen, status), else_=nodes.c.status)


__all__ = ["OBSERVED", "RESOURCES", "FoundNode", "NodeStore", "inventory_of", "node_id", "node_of"]
