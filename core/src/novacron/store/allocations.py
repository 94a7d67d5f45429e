"""The allocations of nodes: who has claimed which amounts. A node is never given more than its limits allow.

A claim is one transaction. Its first statement changes the node's row. So of two processes that claim on the same node, the second one
waits until the first has committed, and then sees what it did. The row is only changed if the amounts fit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import msgspec

from novacron.records.capacity import Allocation, Amounts
from novacron.store.nodes import RESOURCES, inventory_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from novacron.store.database import Database


class Taker(msgspec.Struct, frozen=True, kw_only=True):
    """A VM that claims capacity. `vm` is its UUID, or a name of the claim while the VM has none."""

    vm: str
    name: str
    amounts: Amounts
    active: bool = True
    owner: str = ""
    tags: frozenset[str] = frozenset()
    locked_memory: tuple[str, ...] = ()


class NoRoom(Exception):
    """The claim was refused. `reason` says why, for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AllocationStore:
    """Reads and writes allocations.

    Args:
        database: the state database, or a function that returns it.
    """

    def __init__(self, database: Database | Callable[[], Database]) -> None:
        self._database = database

    def _transaction(self) -> AbstractContextManager[Connection]:
        return (self._database() if callable(self._database) else self._database).transaction()

    def list(self, node: str | None = None) -> list[Allocation]:
        """Return the allocations of a node, or of all nodes, sorted by the VM's name."""
        from novacron.store.tables import allocations

        query = allocations.select().order_by(allocations.c.name, allocations.c.vm)
        with self._transaction() as connection:
            rows = connection.execute(query if node is None else query.where(allocations.c.node == node)).mappings().all()
        return [allocation_of(row) for row in rows]

    def generation(self, node: str) -> int:
        """Return the number of changes of a node's allocations so far."""
        from novacron.store.tables import nodes

        with self._transaction() as connection:
            return int(connection.execute(nodes.select().where(nodes.c.id == node)).mappings().one()["generation"])

    def replace(
        self, node: str, generation: int, truth: Mapping[str, Taker], alive: Collection[str]
    ) -> Sequence[tuple[str, str, str]] | None:
        """Make the allocations of a node what its hypervisor reports.

        Args:
            node: the node's id.
            generation: the generation before the hypervisor was asked.
            truth: all VMs of the node by UUID.
            alive: the live processes. What they have claimed is left as it is.

        Returns:
            The differences as tuples of VM, name and text; None if allocations changed since then, so that `truth` may be out of date.
        """
        from novacron.store.tables import allocations, nodes

        changed: list[tuple[str, str, str]] = []
        with self._transaction() as connection:
            same = nodes.c.generation == generation
            if not connection.execute(nodes.update().where(nodes.c.id == node, same).values(generation=generation + 1)).rowcount:
                return None
            rows = connection.execute(allocations.select().where(allocations.c.node == node)).mappings().all()
            held = {row["vm"]: row for row in rows}
            for vm, row in held.items():
                if row["process"] in alive:
                    continue
                taker = truth.get(vm)
                if taker is None:
                    connection.execute(_exactly(allocations.delete(), vm, node))
                    changed.append((vm, row["name"], "has left the node"))
                elif what := _difference(row, taker):
                    connection.execute(_exactly(allocations.update(), vm, node).values(**_columns(taker, owner=row["owner"])))
                    changed.append((vm, taker.name, what))
            for vm, taker in truth.items():
                if vm not in held:
                    connection.execute(allocations.insert().values(vm=vm, node=node, **_columns(taker)))
                    changed.append((vm, taker.name, "was created or moved by another tool"))
            _sum_up(connection, node)
        return changed


def allocation_of(row: Any) -> Allocation:
    """Return the record of a row of the table."""
    return Allocation(
        vm=row["vm"],
        name=row["name"],
        node=row["node"],
        amounts=amounts_of(row),
        active=row["active"],
        owner=row["owner"],
        tags=frozenset(row["tags"]),
        locked_memory=tuple(row["locked"]),
        pending=row["process"] is not None,
    )


def amounts_of(row: Any) -> Amounts:
    """Return the amounts of a row of the table."""
    return Amounts(vcpus=row["vcpus"], memory_bytes=row["memory"], storage_bytes=row["storage"])


def _exactly(statement: Any, vm: str, node: str) -> Any:
    from novacron.store.tables import allocations

    return statement.where(allocations.c.vm == vm, allocations.c.node == node)


def _columns(taker: Taker, owner: str | None = None) -> dict[str, Any]:
    """Return the columns of a confirmed allocation."""
    return {
        "name": taker.name,
        "vcpus": taker.amounts.vcpus,
        "memory": taker.amounts.memory_bytes,
        "storage": taker.amounts.storage_bytes,
        "active": taker.active,
        "owner": taker.owner if owner is None else owner,
        "tags": sorted(taker.tags),
        "locked": list(taker.locked_memory),
        "process": None,
        "previous": None,
    }


def _difference(row: Any, taker: Taker) -> str:
    """Return what is different between an allocation and its VM, as text; empty if nothing is."""
    if row["process"] is not None:
        return "an operation was interrupted"
    if row["active"] != taker.active:
        return "was started by another tool" if taker.active else "has stopped"
    if amounts_of(row) != taker.amounts:
        return "was resized by another tool"
    same = row["name"] == taker.name and set(row["tags"]) == taker.tags and tuple(row["locked"]) == taker.locked_memory
    return "" if same else "was renamed or changed"


def _sum_up(connection: Connection, node: str) -> None:
    """Set the allocated amounts of a node to the sum of its allocations."""
    import sqlalchemy as sa

    from novacron.store.tables import allocations, nodes

    sums = [sa.func.coalesce(sa.func.sum(allocations.c[resource]), 0).label(resource) for resource in RESOURCES]
    row = connection.execute(sa.select(*sums).where(allocations.c.node == node)).mappings().one()
    values = {f"{resource}_allocated": int(row[resource]) for resource in RESOURCES}
    connection.execute(nodes.update().where(nodes.c.id == node).values(**values))


def shortages(row: Any, growth: Amounts) -> Iterable[str]:
    """Yield what a node lacks for further amounts, as text for people."""
    from novacron.units import format_size

    wanted = {"vcpus": growth.vcpus, "memory": growth.memory_bytes, "storage": growth.storage_bytes}
    for resource, amount in wanted.items():
        inventory = inventory_of(row, resource)
        if amount > 0 and inventory.allocated + amount > inventory.limit:
            if resource == "vcpus":
                yield f"{amount} vCPUs wanted, {inventory.free:g} free"
            else:
                yield f"{format_size(amount)} of {resource} wanted, {format_size(int(inventory.free))} free"


__all__ = ["AllocationStore", "NoRoom", "Taker", "allocation_of", "amounts_of", "shortages"]
