"""The allocations of nodes: who has claimed which amounts. A node is never given more than its limits allow.

A claim is one transaction. Its first statement changes the node's row. So of two processes that claim on the same node, the second one
waits until the first has committed, and then sees what it did. The amounts are compared with that row, which nobody else can change before
the transaction ends. The statements that only write come last; `last_statements` sends them to PostgreSQL together with the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from novacron.records.capacity import Allocation, Amounts, FleetNode, PlacementRule, Quota
from novacron.store.base import Store
from novacron.store.nodes import RESOURCES, inventory_of, node_of
from novacron.store.rules import all_rules, broken_rules, exceeded_quotas, subjects_of
from novacron.store.takers import Taker

if TYPE_CHECKING:
    from sqlalchemy import Connection


UNKNOWN = "unknown"
"""Stands for the process of a claim whose outcome is unknown. It is never alive."""


Admission = Callable[[Sequence[FleetNode], Sequence[PlacementRule], Sequence[Allocation]], Iterable[str]]
"""Yields why a group must not be like this, given its nodes, all rules, and the allocations of its nodes."""


class NoRoom(Exception):
    """The claim was refused. `reason` says why, for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AllocationStore(Store):
    """Reads and writes allocations."""

    def list(self, node: str | None = None) -> list[Allocation]:
        """Return the allocations of a node, or of all nodes, sorted by the VM's name."""
        from novacron.store.tables import allocations

        query = allocations.select().order_by(allocations.c.name, allocations.c.vm)
        with self.transaction() as connection:
            rows = connection.execute(query if node is None else query.where(allocations.c.node == node)).mappings().all()
        return [allocation_of(row) for row in rows]

    def by_vm(self) -> Mapping[str, Sequence[Allocation]]:
        """Return the allocations of all nodes, by the UUID of the VM."""
        found: dict[str, list[Allocation]] = {}
        for each in self.list():
            found.setdefault(each.vm, []).append(each)
        return found

    def generation(self, node: str) -> int:
        """Return the number of changes of a node's allocations so far."""
        from novacron.store.tables import nodes

        with self.transaction() as connection:
            return int(connection.execute(nodes.select().where(nodes.c.id == node)).mappings().one()["generation"])

    def claim(
        self, node: str, taker: Taker, process: str, together: Collection[str] = (), admit: Admission | None = None
    ) -> None:
        """Claim amounts for a VM on a node, in one transaction. What the VM has there already counts towards them.

        Args:
            node: the node's id.
            taker: the VM, with the amounts that it will have.
            process: the process whose operation needs them.
            together: VMs that move together with this one; rules do not compare it with them.
            admit: yields why the group must not be like this after the claim. Claims with it happen one after the other in a group.

        Raises:
            NoRoom: the node, a rule or a quota does not allow it. Nothing is changed then.
        """
        from novacron.store import statements as sql
        from novacron.store.database import last_statements

        with self.transaction() as connection:
            row = _locked(connection, node)
            found = connection.execute(sql.HELD_AND_CONSTRAINTS, _key(taker.vm, node) | {"subjects": subjects_of(taker)})
            held, rules, quotas = _held_and_constraints(found.mappings().all())
            growth = taker.amounts - (amounts_of(held) if held is not None else Amounts())
            if why := [*_closed(row, taker, held), *_overcommitted(row, taker)] or [*shortages(row, growth)]:
                raise NoRoom("; ".join(why))
            if why := [*broken_rules(connection, rules, row, taker, together), *exceeded_quotas(connection, quotas, taker)]:
                raise NoRoom("; ".join(why))
            with last_statements(connection) if admit is None else nullcontext():
                connection.execute(sql.GROW_NODE, _growth(node, growth))
                if held is None:
                    connection.execute(sql.ADD_ALLOCATION, {"vm": taker.vm, "node": node, **_columns(taker), "process": process})
                else:
                    connection.execute(sql.CHANGE_ALLOCATION, _key(taker.vm, node) | _changed(held, taker, process))
            if admit is not None and (why := list(admit(*_group_state(connection, row["group_name"])))):
                raise NoRoom("; ".join(why))

    def confirm(self, node: str, taker: Taker, claimed_as: str | None = None) -> None:
        """Set what a VM really takes, after its operation has ended.

        Args:
            node: the node's id.
            taker: the VM.
            claimed_as: the name of the claim, if the VM had no UUID when it was made.
        """
        from novacron.store import statements as sql
        from novacron.store.database import last_statements

        with self.transaction() as connection:
            _locked(connection, node)
            names = dict.fromkeys([taker.vm, claimed_as or taker.vm])
            rows = [connection.execute(sql.ALLOCATION, _key(name, node)).mappings().first() for name in names]
            known = [row for row in rows if row is not None]
            owner = next((row["owner"] for row in known if row["owner"]), taker.owner)
            with last_statements(connection):
                for row in known:
                    connection.execute(sql.DELETE_ALLOCATION, _key(row["vm"], node))
                connection.execute(sql.ADD_ALLOCATION, {"vm": taker.vm, "node": node, **_columns(taker, owner)})
                _sum_up(connection, node)

    def restore(self, node: str, vm: str) -> None:
        """Undo a claim: the VM has what it had before."""
        from novacron.store import statements as sql

        with self.transaction() as connection:
            _locked(connection, node)
            row = connection.execute(sql.ALLOCATION, _key(vm, node)).mappings().first()
            if row is not None and row["process"] is not None:
                if row["previous"] is None:
                    connection.execute(sql.DELETE_ALLOCATION, _key(vm, node))
                else:
                    values = {**row["previous"], "process": None, "previous": None}
                    connection.execute(sql.CHANGE_ALLOCATION, _key(vm, node) | values)
            _sum_up(connection, node)

    def abandon(self, node: str, vm: str) -> None:
        """Keep a claim whose outcome is unknown, until the next refresh reads it from the hypervisor."""
        from novacron.store import statements as sql
        from novacron.store.tables import allocations

        with self.transaction() as connection:
            pending = sql.CHANGE_ALLOCATION.where(allocations.c.process.is_not(None))
            connection.execute(pending, _key(vm, node) | {"process": UNKNOWN})

    def free(self, node: str, vm: str) -> None:
        """Delete the allocation of a VM on a node."""
        from novacron.store import statements as sql
        from novacron.store.database import last_statements

        with self.transaction() as connection:
            _locked(connection, node)
            with last_statements(connection):
                connection.execute(sql.DELETE_ALLOCATION, _key(vm, node))
                _sum_up(connection, node)

    def switched_off(self, node: str, restarted: Collection[str]) -> None:
        """Record that a node is off: the VMs that are restarted elsewhere have left it, and the others are not active.

        Args:
            node: the node's id.
            restarted: the VMs that are restarted elsewhere.
        """
        from novacron.store import statements as sql
        from novacron.store.tables import allocations

        with self.transaction() as connection:
            _locked(connection, node)
            there = allocations.c.node == node
            for vm in restarted:
                connection.execute(sql.DELETE_ALLOCATION, _key(vm, node))
            connection.execute(
                allocations.update().where(there, allocations.c.process.is_(None)).values(active=False, vcpus=0, memory=0)
            )
            _sum_up(connection, node)

    def set_owner(self, vm: str, owner: str) -> None:
        """Set the owner of a VM's allocations."""
        from novacron.store.tables import allocations

        with self.transaction() as connection:
            connection.execute(allocations.update().where(allocations.c.vm == vm).values(owner=owner))

    def move(self, source: str | None, destination: str | None, taker: Taker) -> None:
        """Move the allocation of a VM that has migrated, in one transaction. None is a node that is not stored."""
        from novacron.store import statements as sql
        from novacron.store.database import clock
        from novacron.store.tables import vm_moves

        with self.transaction() as connection:
            places = sorted({node for node in (source, destination) if node})
            for node in places:
                _locked(connection, node)
            known = [connection.execute(sql.ALLOCATION, _key(taker.vm, node)).mappings().first() for node in places]
            owner = next((row["owner"] for row in known if row is not None and row["owner"]), taker.owner)
            for node in places:
                connection.execute(sql.DELETE_ALLOCATION, _key(taker.vm, node))
                if node == destination:
                    connection.execute(sql.ADD_ALLOCATION, {"vm": taker.vm, "node": node, **_columns(taker, owner)})
                _sum_up(connection, node)
            connection.execute(vm_moves.delete().where(vm_moves.c.vm == taker.vm))
            connection.execute(vm_moves.insert().values(vm=taker.vm, at=clock(connection)))

    def moved_within(self, seconds: float) -> frozenset[str]:
        """Return the VMs whose last migration ended less than so many seconds ago. Older entries are deleted after a week."""
        from novacron.store.database import clock
        from novacron.store.tables import vm_moves

        with self.transaction() as connection:
            connection.execute(vm_moves.delete().where(vm_moves.c.at < clock(connection) - 7 * 86400))
            rows = connection.execute(vm_moves.select().where(vm_moves.c.at > clock(connection) - seconds))
            return frozenset(row.vm for row in rows)

    def interrupted(self, node: str, alive: Collection[str]) -> Sequence[str]:
        """Return the VMs of a node whose operation was interrupted: its process is dead, or its outcome is unknown."""
        from novacron.store.tables import allocations

        with self.transaction() as connection:
            rows = connection.execute(
                allocations.select().where(allocations.c.node == node, allocations.c.process.is_not(None))
            ).all()
        return [row.vm for row in rows if row.process not in alive]

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
        from novacron.store import statements as sql
        from novacron.store.tables import nodes

        changed: list[tuple[str, str, str]] = []
        with self.transaction() as connection:
            same = nodes.c.generation == generation
            if not connection.execute(nodes.update().where(nodes.c.id == node, same).values(generation=generation + 1)).rowcount:
                return None
            rows = connection.execute(sql.ALLOCATIONS_OF_NODE, {"on_node": node}).mappings().all()
            held = {row["vm"]: row for row in rows}
            for vm, row in held.items():
                if row["process"] in alive:
                    continue
                taker = truth.get(vm)
                if taker is None:
                    connection.execute(sql.DELETE_ALLOCATION, _key(vm, node))
                    changed.append((vm, row["name"], "has left the node"))
                elif what := _difference(row, taker):
                    connection.execute(sql.CHANGE_ALLOCATION, _key(vm, node) | _columns(taker, owner=row["owner"]))
                    changed.append((vm, taker.name, what))
            unknown = {vm: taker for vm, taker in truth.items() if vm not in held}
            if unknown:
                rows_to_add = [{"vm": vm, "node": node, **_columns(taker)} for vm, taker in unknown.items()]
                connection.execute(sql.ADD_ALLOCATION, rows_to_add)
            changed += [(vm, taker.name, "was created or moved by another tool") for vm, taker in unknown.items()]
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


def _locked(connection: Connection, node: str) -> Any:
    """Change a node's row, so that no other transaction changes its allocations before this one has ended; return the row."""
    from novacron.store import statements as sql

    row = connection.execute(sql.LOCK_NODE, {"on_node": node}).mappings().first()
    if row is None:
        raise NoRoom("it is no node of the fleet any more")
    return row


def _group_state(connection: Connection, group: str) -> tuple[Sequence[FleetNode], Sequence[PlacementRule], Sequence[Allocation]]:
    """Lock a group, so that one claim at a time is simulated, and return its nodes, the rules, and the allocations of its nodes."""
    from novacron.store import statements as sql

    connection.execute(sql.LOCK_GROUP, {"of_group": group})
    members = [node_of(row) for row in connection.execute(sql.NODES_OF_GROUP, {"of_group": group}).mappings()]
    held = connection.execute(sql.ALLOCATIONS_OF_NODES, {"on_nodes": [node.id for node in members]}).mappings()
    return members, all_rules(connection), [allocation_of(row) for row in held]


def _closed(row: Any, taker: Taker, held: Any) -> Iterator[str]:
    """Yield why a node takes no VM at all. A VM that is there already may start on a cordoned node."""
    starts = taker.active and (held is None or not held["active"])
    if row["status"] not in ("up", "unreachable") and (starts or held is None):
        yield f"it is {row['status']}"
    elif row["cordoned"] and held is None:
        yield "it is cordoned" + (f" ({row['reason']})" if row["reason"] else "")


def _overcommitted(row: Any, taker: Taker) -> Iterator[str]:
    if taker.locked_memory and (row["memory_ratio"] is None or row["memory_ratio"] > 1):
        yield f"its memory is overcommitted, and the VM has {', '.join(taker.locked_memory)}"


def _held_and_constraints(rows: Sequence[Any]) -> tuple[Any, Sequence[PlacementRule], Sequence[Quota]]:
    """Return the row of the VM's allocation on the node or None, all rules, and the quotas that concern the VM."""
    rules = [PlacementRule(name=row["subject"], **row["definition"]) for row in rows if row["kind"] == "rule"]
    quotas = [Quota(subject=row["subject"], **row["definition"]) for row in rows if row["kind"] == "quota"]
    return rows[0] if rows[0]["vm"] is not None else None, rules, quotas


def _growth(node: str, growth: Amounts) -> dict[str, Any]:
    amounts = (growth.vcpus, growth.memory_bytes, growth.storage_bytes)
    return {"on_node": node} | {f"more_{resource}": amount for resource, amount in zip(RESOURCES, amounts, strict=True)}


def _key(vm: str, node: str) -> dict[str, Any]:
    return {"of_vm": vm, "on_node": node}


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


def _changed(held: Any, taker: Taker, process: str) -> dict[str, Any]:
    """Return the columns of an allocation that is claimed anew. What it was before the first claim is kept, and so is its owner."""
    columns = _columns(taker, owner=held["owner"])
    before = held["previous"] if held["process"] else {key: held[key] for key in columns if key not in ("process", "previous")}
    return columns | {"process": process, "previous": before}


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
    from novacron.store import statements as sql

    connection.execute(sql.SUM_UP_NODE, {"on_node": node})


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


__all__ = ["UNKNOWN", "Admission", "AllocationStore", "NoRoom", "allocation_of", "amounts_of", "shortages"]
