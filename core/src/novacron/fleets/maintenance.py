"""Maintenance of nodes: moves the VMs of a node away, keeps new ones off it, and moves the VMs back afterwards.

The moves are one durable run of the workflow engine. It can be cancelled and resumed, and the setting `migrations_per_host` limits how many
VMs move at a time. A node is emptied in one round: VMs that could not move are reported, and no move is repeated without end.
If the process was killed, `enter` and `leave` first finish the run that it left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, InvalidStateError, MigrationCheckError, SpecProblem
from novacron.fleets.draining import DrainPlanner
from novacron.fleets.moving import Storage, migrate_all, wait_for
from novacron.fleets.nodes import NodeCollection, Recorded, refuse_balanced
from novacron.fleets.placement.placer import Placer
from novacron.records.capacity import DrainPlan, FleetNode, StuckVM
from novacron.records.rolling_updates import RollingUpdate
from novacron.store.nodes import NodeStore

if TYPE_CHECKING:
    from novacron.fleets.asking import Askable
    from novacron.store.database import Database
    from novacron.store.takers import Taker
    from novacron.workflow.run.run import Run
    from novacron.workflow.run.runs import Runs

ENTERED = ("up", "unreachable", "maintenance")
"""Statuses in which a node can enter maintenance. Those of a failover are left alone."""
FAILED = "its migration failed; `novacron run list` shows the run"
"""Why a VM is not where it was planned."""


class Maintenance:
    """Maintenance of nodes: `fleet.maintenance.enter("kvm1")`.

    Args:
        fleet: the fleet.
        nodes: the nodes.
        store: where nodes are stored.
        placer: returns what decides where VMs go.
        recorded: writes audit lines.
        runs: returns the workflow runs.
        database: returns the state database.
        process: joins the state database and returns the id of this process.

    Example:
        >>> import novacron
        >>> fleet = novacron.fleet()
        >>> for name in ("drain-a", "drain-b"):
        ...     _ = fleet.add(name, f"sim://{name}")
        ...     _ = fleet.nodes.refresh([name])
        ...     _ = fleet.nodes.set(name, group="drain")
        >>> _ = fleet.hosts["drain-a"].vms.create(name="drain-vm", start=True)
        >>> plan = fleet.maintenance.enter("drain-a")
        >>> [(move.name, move.host) for move in plan.moves], fleet.nodes["drain-a"].status
        ([('drain-vm', 'drain-b')], 'maintenance')
        >>> back = fleet.maintenance.leave("drain-a")
        >>> fleet.vms["drain-vm"].host.name
        'drain-a'
        >>> fleet.remove("drain-a"), fleet.remove("drain-b")
        (None, None)
    """

    def __init__(
        self,
        fleet: Askable,
        nodes: NodeCollection,
        store: NodeStore,
        placer: Callable[[], Placer],
        recorded: Recorded,
        runs: Callable[[], Runs],
        database: Callable[[], Database],
        process: Callable[[], str],
    ) -> None:
        self._fleet, self._nodes, self._store, self._recorded = fleet, nodes, store, recorded
        self._runs, self._database, self._process = runs, database, process
        self._planner = DrainPlanner(fleet, store, placer)

    def __repr__(self) -> str:
        return "<maintenance of the fleet's nodes>"

    def plan(self, name: str, *, storage: Storage = "shared", stopped: bool = False, avoid: Iterable[str] = ()) -> DrainPlan:
        """Return how a node would be emptied: where each VM would move, and which VMs can't move and why. Nothing is changed.

        Args:
            name: the node's name or UUID.
            storage: "shared" expects the disks on both hosts, "copy" copies them.
            stopped: also move VMs that are not active. Otherwise they stay on the node.
            avoid: names or UUIDs of other nodes that take none of the VMs.

        Raises:
            NodeNotFoundError: there is no such node.
        """
        away = frozenset(self._nodes[each].id for each in avoid)
        return self._planner.plan(self._nodes[name], storage, stopped=stopped, away=away, moved=[])

    def plan_together(self, names: Iterable[str], *, storage: Storage = "shared") -> Sequence[DrainPlan]:
        """Return how several nodes would be emptied at the same time: none of them takes VMs of another one. Nothing is changed.

        Args:
            names: the nodes' names or UUIDs.
            storage: as `plan`.

        Returns:
            One plan for each node, in order.

        Raises:
            NodeNotFoundError: there is no such node.

        Example:
            >>> import novacron
            >>> fleet = novacron.fleet()
            >>> for name in ("together-a", "together-b"):
            ...     _ = fleet.add(name, f"sim://{name}")
            ...     _ = fleet.nodes.refresh([name])
            ...     _ = fleet.nodes.set(name, group="together")
            >>> _ = fleet.hosts["together-a"].vms.create(name="together-vm", start=True)
            >>> [len(plan.stuck) for plan in fleet.maintenance.plan_together(["together-a", "together-b"])]
            [1, 0]
            >>> fleet.remove("together-a"), fleet.remove("together-b")
            (None, None)
        """
        nodes = [self._nodes[name] for name in names]
        away = frozenset(node.id for node in nodes)
        moved: list[tuple[Taker, str, str]] = []
        return [self._planner.plan(node, storage, stopped=False, away=away, moved=moved) for node in nodes]

    def enter(
        self,
        name: str,
        *,
        storage: Storage = "shared",
        stopped: bool = False,
        partial: bool = False,
        avoid: Iterable[str] = (),
        reason: str = "",
        follow: Callable[[Run], object] | None = None,
    ) -> DrainPlan:
        """Put a node into maintenance: it takes no further VMs, and its VMs move away.

        Args:
            name: the node's name or UUID.
            storage: as `plan`.
            stopped: as `plan`.
            partial: move the others even if some VMs can't move. Otherwise nothing is changed then.
            avoid: as `plan`.
            reason: why, for other people.
            follow: called with the run of the moves, and waits for it; by default `run.wait()`.

        Returns:
            The plan that was carried out. `stuck` also has the VMs whose migration failed.

        Raises:
            MigrationCheckError: some VMs can't move; `failures` names each of them.
            InvalidStateError: a failover uses the node, or something else moves its VMs by itself, such as vSphere's DRS.
            OperationCancelledError: the run was cancelled. The node stays in maintenance; `leave` moves the VMs back.
        """
        node = self._nodes[name]
        if node.status not in ENTERED:
            raise _unusable(node)
        refuse_balanced([node], "let it empty the node: `novacron vsphere node maintenance-enter NAME --evacuate`")
        before = node.status, node.reason
        with self._recorded("maintenance_enter", node.name, {"storage": storage, "partial": partial, "reason": reason}):
            if not self._store.change(node.id, only=ENTERED, status="maintenance", reason=reason or "maintenance"):
                raise _unusable(self._nodes[node.id])  # a failover of it has just begun
            try:
                self._finish_interrupted(node, follow)
                plan = self.plan(node.id, storage=storage, stopped=stopped, avoid=avoid)
                if plan.stuck and not partial:
                    failures = [f"{each.name}: {each.why}" for each in plan.stuck]
                    raise MigrationCheckError(
                        f"{node.name} can't be emptied",
                        failures=failures,
                        resource=node.name,
                        outcome="not_sent",
                        hint="move or stop these VMs, or use --partial",
                    )
            except BaseException:
                self._store.change(node.id, only=("maintenance",), status=before[0], reason=before[1])
                raise
            self._remember(node, [*self._store.evacuated(node.id), *(move.vm for move in plan.moves)])
            migrate_all(self._fleet, self._store, _run_name(node), plan.moves, storage, follow)
        return self._with_failures(node, plan)

    def leave(
        self,
        name: str,
        *,
        storage: Storage = "shared",
        keep_vms: bool = False,
        follow: Callable[[Run], object] | None = None,
    ) -> DrainPlan:
        """End the maintenance of a node, and move the VMs back that it had before.

        Args:
            name: the node's name or UUID.
            storage: as `plan`.
            keep_vms: leave the VMs where they are.
            follow: as `enter`.

        Returns:
            The moves back; `stuck` has the VMs that stay where they are, and why.

        Raises:
            InvalidStateError: the node is not in maintenance. A node whose `leave` was interrupted can leave again.
            OperationCancelledError: the run was cancelled. `leave` again moves the other VMs back.
        """
        node = self._nodes[name]
        if not self.is_away(node.id):
            raise InvalidStateError(f"{node.name} is not in maintenance: it is {node.status}", resource=node.name)
        with self._recorded("maintenance_leave", node.name, {"keep_vms": keep_vms}):
            if not self._store.change(node.id, only=("maintenance", "up"), status="up", reason=""):
                raise _unusable(self._nodes[node.id])
            self._nodes.refresh([node.host])
            self._finish_interrupted(node, follow)
            plan = self._planner.plan_back(self._nodes[node.id], [] if keep_vms else self._store.evacuated(node.id))
            migrate_all(self._fleet, self._store, _run_name(node), plan.moves, storage, follow)
            self._remember(node, [])
        here = self._planner.vms_of(node, stopped=True) if plan.moves else {}
        failed = [StuckVM(vm=move.vm, name=move.name, why=FAILED) for move in plan.moves if move.vm not in here]
        moves = tuple(move for move in plan.moves if move.vm in here)
        return DrainPlan(node=plan.node, id=plan.id, moves=moves, stuck=(*plan.stuck, *failed))

    def is_away(self, name: str) -> bool:
        """Return whether `leave` has something to do: the node is in maintenance, or an earlier `leave` was interrupted."""
        node = self._nodes[name]
        return node.status == "maintenance" or (node.status == "up" and bool(self._store.evacuated(node.id)))

    def rolling_update(
        self,
        group: str,
        *,
        dry_run: bool = False,
        resume: bool = False,
        stop: threading.Event | None = None,
        tell: Callable[[str], object] = bool,
        **fields: Any,
    ) -> RollingUpdate:
        """Update the nodes of a group one after the other: empty a node, run a command, wait until it answers, move its VMs back.

        All nodes are planned first; if a VM can't move, it is named and nothing is changed. The first failure stops the update.

        Args:
            group: the group's name.
            dry_run: only return the plan of each node; with `resume` how far each node is.
            resume: continue the rolling update of the group that has stopped. Nodes that are done are left out.
            stop: stops the update when it is set: the migrations are cancelled, the command is killed. It can be resumed.
            tell: called with a line of text when something begins; also from other threads.
            fields: the fields of `RollingUpdateSpec`: command, run_on, max_unavailable, storage, reboots, command_timeout, answer_timeout.

        Returns:
            The nodes with their stages.

        Raises:
            NotFoundError: no node belongs to the group, or there is nothing to resume.
            InvalidSpecError: a field is invalid, or more nodes would be away at a time than the group may lose.
            InvalidStateError: a node is not up, or an earlier rolling update has not ended.
            BusyError: another process updates the group.
            MigrationCheckError: VMs can't move; `failures` names each of them.
            WorkflowError: it stopped at a node. The text says why, what is done and what is not.
            OperationCancelledError: `stop` was set, or somebody cancelled a run of migrations.

        Example:
            >>> import novacron
            >>> fleet = novacron.fleet()
            >>> for name in ("rolling-a", "rolling-b"):
            ...     _ = fleet.add(name, f"sim://{name}")
            ...     _ = fleet.nodes.refresh([name])
            ...     _ = fleet.nodes.set(name, group="rolling")
            >>> update = fleet.maintenance.rolling_update("rolling", command=["true"], run_on="here")
            >>> [(node.node, node.stage) for node in update.nodes]
            [('rolling-a', 'done'), ('rolling-b', 'done')]
            >>> fleet.remove("rolling-a"), fleet.remove("rolling-b")
            (None, None)
        """
        from novacron.fleets.rolling_update import RollingUpdates
        from novacron.store.rolling_updates import RollingUpdateStore

        if resume and fields:
            problem = SpecProblem("resume", "True", f"without {', '.join(sorted(fields))}: it continues as it was begun")
            raise InvalidSpecError("can't change a rolling update", problems=[problem], resource=group, outcome="not_sent")
        store = RollingUpdateStore(self._database, self._process)
        updates = RollingUpdates(self._fleet, self, self._nodes, self._store, store, self._recorded)
        if dry_run:
            return updates.unfinished(group) if resume else updates.plan(group, fields)
        stopping = stop or threading.Event()
        if resume:
            return updates.resume(group, stop=stopping, tell=tell)
        return updates.start(group, fields, stop=stopping, tell=tell)

    def _finish_interrupted(self, node: FleetNode, follow: Callable[[Run], object] | None) -> None:
        """Finish the runs of a node that nobody runs any more: until then their VMs can't move again."""
        runs = self._runs()
        for record in runs.list(unfinished=True, limit=None):
            if record.name == _run_name(node) and record.process is None:
                wait_for(runs.resume(record.id), follow)

    def _with_failures(self, node: FleetNode, plan: DrainPlan) -> DrainPlan:
        """Return the plan with the VMs that are still on the node as stuck."""
        left = self._planner.vms_of(node, stopped=False)
        known = {each.vm for each in plan.stuck}
        failed = [StuckVM(vm=vm_id, name=vm.name, why=FAILED) for vm_id, vm in left.items() if vm_id not in known]
        moves = tuple(move for move in plan.moves if move.vm not in left)
        return DrainPlan(node=plan.node, id=plan.id, moves=moves, stuck=(*plan.stuck, *failed))

    def _remember(self, node: FleetNode, vms: Sequence[str]) -> None:
        self._store.change(node.id, evacuated=sorted(set(vms)))


def _unusable(node: FleetNode) -> InvalidStateError:
    return InvalidStateError(f"{node.name} is {node.status}", resource=node.name, hint="`novacron node show` has the reason")


def _run_name(node: FleetNode) -> str:
    return f"maintenance-{node.name}"


__all__ = ["Maintenance"]
