"""Failovers and what is stored of protected VMs. Each write of a failover checks the fencing number of the controller's lease.

A failover is a row, and each of its VMs is another one. Whatever is done to a VM is stored before it is done. So a controller that
takes over knows on which node the former one may have started the VM, and looks only there.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from novacron.records.failover import Failover, ProtectedVM, RestartedVM
from novacron.store.base import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection


ENDED = ("ended", "cancelled", "left")
"""The stages of a failover that has ended. The failover of a node that has left the fleet continues if the node is added again."""


class Right(Protocol):
    """The right to change failovers: the lease of the controller."""

    def check(self, connection: Connection) -> None:
        """Raise BusyError if another controller has taken over."""
        ...


class FailoverStore(Store):
    """Reads and writes failovers and protected VMs."""

    def check(self, right: Right) -> None:
        """Make sure that the controller still has the lease. Raises BusyError, StorageError."""
        with self.transaction() as connection:
            right.check(connection)

    # ---- failovers

    def all(self, *, unended: bool = False) -> list[Failover]:
        """Return the failovers without their VMs, the latest first.

        Args:
            unended: only those that have not ended.
        """
        from novacron.store.tables import failovers as t

        query = t.select().order_by(t.c.began_at.desc(), t.c.id)
        with self.transaction() as connection:
            rows = connection.execute(query.where(t.c.ended_at.is_(None)) if unended else query).mappings().all()
        return [_failover(row) for row in rows]

    def continuing(self, nodes: Collection[str]) -> list[Failover]:
        """Return the failovers that have not ended, and those of nodes that had left the fleet and are back, the latest first.

        Args:
            nodes: ids of the nodes of the fleet.
        """
        import sqlalchemy as sa

        from novacron.store.tables import failovers as t

        later = t.alias()
        newest = ~sa.exists().where(later.c.node == t.c.node, later.c.began_at > t.c.began_at)
        query = t.select().where(sa.or_(t.c.ended_at.is_(None), sa.and_(t.c.stage == "left", newest)))
        with self.transaction() as connection:
            rows = connection.execute(query.order_by(t.c.began_at.desc(), t.c.id)).mappings().all()
        return [_failover(row) for row in rows if row["ended_at"] is None or row["node"] in nodes]

    def of_node(self, node: str) -> Failover | None:
        """Return the failover of a node that has not ended, with its VMs; None if there is none."""
        found = next((each for each in self.all(unended=True) if each.node == node), None)
        return None if found is None else found.replace(vms=tuple(self.vms(found.id)))

    def vms(self, failover: str) -> list[RestartedVM]:
        """Return the VMs of a failover, those with the highest priority first."""
        from novacron.store.tables import failover_vms as t

        with self.transaction() as connection:
            query = t.select().where(t.c.failover == failover).order_by(t.c.priority, t.c.name, t.c.vm)
            return [_restarted(row) for row in connection.execute(query).mappings()]

    def begin(self, right: Right, node: str, node_name: str, group: str, reason: str) -> Failover | None:
        """Store a new failover of a node, and that the node is being fenced, in one transaction.

        Returns:
            The failover; None if somebody uses the node otherwise, as for maintenance that has begun meanwhile. Nothing is stored then.
        """
        from novacron.store.database import clock
        from novacron.store.nodes import OBSERVED
        from novacron.store.tables import failovers, nodes

        key = uuid.uuid4().hex
        with self.transaction() as connection:
            right.check(connection)
            free = (nodes.c.id == node) & nodes.c.status.in_(OBSERVED)
            if not connection.execute(nodes.update().where(free).values(status="fencing", reason=reason)).rowcount:
                return None
            now = clock(connection)
            connection.execute(
                failovers.insert().values(
                    id=key,
                    node=node,
                    node_name=node_name,
                    group_name=group,
                    stage="fencing",
                    reason=reason,
                    began_at=now,
                    changed_at=now,
                    steps=[reason],
                )
            )
        return self.of_node(node)

    def advance(
        self, right: Right, failover: Failover, stage: str, *, status: str, reason: str = "", steps: Iterable[str] = ()
    ) -> None:
        """Store the next stage of a failover, and the status of its node, in one transaction."""
        from novacron.store.database import clock
        from novacron.store.tables import failovers as t
        from novacron.store.tables import nodes

        with self.transaction() as connection:
            right.check(connection)
            row = connection.execute(t.select().where(t.c.id == failover.id)).mappings().one()
            values: dict[str, Any] = {"stage": stage, "reason": reason, "changed_at": clock(connection)}
            values["steps"] = [*row["steps"], *steps]
            values["ended_at"] = clock(connection) if stage in ENDED else None
            connection.execute(t.update().where(t.c.id == failover.id).values(**values))
            connection.execute(nodes.update().where(nodes.c.id == failover.node).values(status=status, reason=reason))

    def confirm(self, failover: str, person: str) -> None:
        """Store who has confirmed that the node is off."""
        from novacron.store.tables import failovers as t

        with self.transaction() as connection:
            connection.execute(t.update().where(t.c.id == failover).values(confirmed_by=person))

    def take_vms(self, right: Right, failover: Failover, vms: Sequence[RestartedVM]) -> Sequence[RestartedVM]:
        """Store the VMs of a failover. VMs that another failover was starting on this node become VMs of this one.

        Returns:
            All VMs of the failover.
        """
        from novacron.store.tables import failover_vms as t

        with self.transaction() as connection:
            right.check(connection)
            coming = (t.c.destination == failover.node) & (t.c.status == "placed") & (t.c.failover != failover.id)
            lost = [_restarted(row) for row in connection.execute(t.select().where(coming)).mappings()]
            connection.execute(t.update().where(coming).values(status="moved", reason=f"{failover.node_name} failed as well"))
            known = {row.vm for row in connection.execute(t.select().where(t.c.failover == failover.id))}
            again = [each.replace(status="pending", destination=None, tried=(), reason="") for each in lost]
            for each in {one.vm: one for one in (*vms, *again)}.values():
                if each.vm not in known:
                    connection.execute(t.insert().values(failover=failover.id, **_columns(each)))
        return self.vms(failover.id)

    def save_vms(self, right: Right, failover: str, vms: Sequence[RestartedVM]) -> None:
        """Store the status of VMs of a failover, in one transaction."""
        from novacron.store.tables import failover_vms as t

        if not vms:
            return
        with self.transaction() as connection:
            right.check(connection)
            for vm in vms:
                same = (t.c.failover == failover) & (t.c.vm == vm.vm)
                connection.execute(t.update().where(same).values(**_columns(vm)))

    # ---- protected VMs

    def protected(self, vms: Collection[str] | None = None) -> dict[str, ProtectedVM]:
        """Return what is stored of VMs, by their UUIDs; of all VMs if None is given."""
        from novacron.store.tables import protected_vms as t

        with self.transaction() as connection:
            rows = connection.execute(t.select()).mappings().all()
        return {row["vm"]: _protected(row) for row in rows if vms is None or row["vm"] in vms}

    def save_protected(self, node: str, changed: Sequence[ProtectedVM], present: Collection[str]) -> None:
        """Store VMs of a node. VMs that were there before and are not present any more are forgotten."""
        from novacron.store.tables import protected_vms as t

        with self.transaction() as connection:
            for row in connection.execute(t.select().where(t.c.node == node)).all():
                if row.vm not in present:
                    connection.execute(t.delete().where(t.c.vm == row.vm))
            for each in changed:
                values = each.as_dict()
                connection.execute(t.delete().where(t.c.vm == each.vm))
                connection.execute(t.insert().values(**values))


def _failover(row: Any) -> Failover:
    return Failover(
        id=row["id"],
        node=row["node"],
        node_name=row["node_name"],
        group=row["group_name"],
        stage=row["stage"],
        reason=row["reason"] or "",
        began_at=row["began_at"],
        changed_at=row["changed_at"],
        ended_at=row["ended_at"],
        confirmed_by=row["confirmed_by"] or "",
        steps=tuple(row["steps"]),
    )


def _restarted(row: Any) -> RestartedVM:
    return RestartedVM(
        vm=row["vm"],
        name=row["name"],
        status=row["status"],
        priority=row["priority"],
        destination=row["destination"],
        tried=tuple(row["tried"]),
        reason=row["reason"] or "",
        taker=dict(row["taker"]),
    )


def _columns(vm: RestartedVM) -> dict[str, Any]:
    return vm.as_dict() | {"tried": list(vm.tried), "taker": dict(vm.taker)}


def _protected(row: Any) -> ProtectedVM:
    return ProtectedVM(
        vm=row["vm"],
        node=row["node"],
        name=row["name"],
        definition=row["definition"],
        priority=row["priority"],
        refusals=tuple(row["refusals"]),
        volumes=tuple((pool, name) for pool, name in row["volumes"] or ()),
    )


__all__ = ["FailoverStore", "Right"]
