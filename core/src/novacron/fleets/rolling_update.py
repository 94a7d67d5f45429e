"""Rolling updates: the nodes of a group are emptied, updated and filled again, one after the other.

The stage of each node is stored before it begins, so that another process can continue where a killed one was. Only the command may then
run a second time. The first failure stops the update; the node stays at its stage.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from novacron.errors import (
    BusyError,
    HostConnectionError,
    InvalidSpecError,
    InvalidStateError,
    MigrationCheckError,
    MigrationError,
    NotFoundError,
    NovaCronError,
    OperationCancelledError,
    OperationTimeoutError,
    SpecProblem,
    UnsupportedOperationError,
    WorkflowError,
)
from novacron.fleets.groups import settings_of
from novacron.fleets.node_program import argv_for, boot_id, missing_program, run_program
from novacron.fleets.nodes import NodeCollection, Recorded, refuse_balanced
from novacron.records.capacity import DrainPlan, FleetNode, StuckVM
from novacron.records.rolling_updates import NodeUpdate, RollingUpdate, UpdateStage
from novacron.specs.capacity import RollingUpdateSpec
from novacron.store.nodes import NodeStore
from novacron.store.rolling_updates import RollingUpdateStore
from novacron.threads import fan_out
from novacron.workflow.run.run import settled

if TYPE_CHECKING:
    from novacron.fleets.asking import Askable
    from novacron.fleets.moving import Storage
    from novacron.handles.host import HostHandle
    from novacron.store.leases import Lease
    from novacron.workflow.run.run import Run

ANSWER = 10.0
"""Seconds that a node may take for one answer."""
INTERVAL = 2.0
"""Seconds between two questions to a node that does not answer, or is about to restart."""
WATCH = 0.5
"""Seconds between two looks whether the update is to be stopped while VMs move."""


class Drains(Protocol):
    """The maintenance of nodes as a rolling update needs it; see `Maintenance`."""

    def plan_together(self, names: Iterable[str], *, storage: Storage = ...) -> Sequence[DrainPlan]:
        """Return how nodes would be emptied at the same time."""
        ...

    def enter(
        self, name: str, *, storage: Storage = ..., avoid: Iterable[str] = ..., reason: str = ..., follow: Callable[[Run], object]
    ) -> DrainPlan:
        """Empty a node."""
        ...

    def leave(self, name: str, *, storage: Storage = ..., follow: Callable[[Run], object]) -> DrainPlan:
        """Use a node again, and move its VMs back."""
        ...

    def is_away(self, name: str) -> bool:
        """Return whether `leave` has something to do."""
        ...


class RollingUpdates:
    """Plans rolling updates, and carries them out.

    Args:
        fleet: the fleet.
        maintenance: empties nodes and fills them again.
        nodes: the nodes.
        node_store: where nodes are stored.
        store: where rolling updates are stored.
        recorded: writes audit lines.
    """

    def __init__(
        self,
        fleet: Askable,
        maintenance: Drains,
        nodes: NodeCollection,
        node_store: NodeStore,
        store: RollingUpdateStore,
        recorded: Recorded,
    ) -> None:
        self._fleet, self._maintenance, self._nodes = fleet, maintenance, nodes
        self._node_store, self._store, self._recorded = node_store, store, recorded

    def plan(self, group: str, fields: dict[str, Any]) -> RollingUpdate:
        """Return a new rolling update with the plan of each node. Nothing is changed.

        Raises:
            NotFoundError: no node belongs to the group.
            InvalidSpecError: a field is invalid, or does not fit the group.
            InvalidStateError: a node is not up or cordoned, or something else moves its VMs by itself.
        """
        spec = RollingUpdateSpec.parse(fields)
        nodes = self._nodes.list(group=group)
        if not nodes:
            raise NotFoundError(
                f"no node belongs to the group {group!r}", resource=group, hint="`novacron fleet groups` lists them"
            )
        self._check_number(group, spec)
        self._check_nodes(nodes, spec)
        update = RollingUpdate(
            group=group, settings=spec.as_dict(), nodes=tuple(NodeUpdate(node=node.name, id=node.id) for node in nodes)
        )
        return self._with_plans(update, spec)

    def unfinished(self, group: str) -> RollingUpdate:
        """Return the rolling update of a group that has not ended.

        Raises:
            NotFoundError: there is none.
        """
        known = self._store.find(group)
        if known is None or not known.left:
            raise NotFoundError(
                f"no rolling update of {group!r} is to be continued", resource=group, hint="begin one without --resume"
            )
        return known

    def start(self, group: str, fields: dict[str, Any], *, stop: threading.Event, tell: Callable[[str], object]) -> RollingUpdate:
        """Carry out a new rolling update. Arguments, results and errors as `Maintenance.rolling_update`."""
        lease = self._take(group)
        try:
            self._check_earlier(group)
            update = self.plan(group, fields)
            if update.stuck:
                raise MigrationCheckError(
                    f"the group {group!r} can't be updated",
                    failures=[
                        f"{each.node}: {vm.name}: {vm.why}" for each in update.nodes if each.plan for vm in each.plan.stuck
                    ],
                    resource=group,
                    outcome="not_sent",
                    hint="move or stop these VMs; without shared storage use `--storage copy`",
                )
            update = update.replace(nodes=tuple(node.replace(plan=None) for node in update.nodes))
            with self._recorded("rolling_update", group, update.settings):
                return _Carrying(self, update, lease, stop, tell).all()
        finally:
            self._store.release(lease)

    def resume(self, group: str, *, stop: threading.Event, tell: Callable[[str], object]) -> RollingUpdate:
        """Continue the rolling update of a group that has not ended. Nodes that are done are left out."""
        lease = self._take(group)
        try:
            update = self.unfinished(group)
            with self._recorded("rolling_update", group, update.settings | {"resume": True}):
                return _Carrying(self, update, lease, stop, tell).all()
        finally:
            self._store.release(lease)

    def _check_earlier(self, group: str) -> None:
        """Refuse to begin while nodes are away because of an earlier rolling update."""
        known = self._store.find(group)
        begun = {node.id for node in known.left if node.stage != "waiting"} if known else set()
        away = [node.name for node in self._nodes.list() if node.id in begun and self._maintenance.is_away(node.id)]
        if away:
            raise InvalidStateError(
                f"the rolling update of {group!r} has not ended: {known}",
                resource=group,
                outcome="not_sent",
                hint=f"continue it with --resume, or first run `novacron host maintenance leave` for {', '.join(away)}",
            )

    def _take(self, group: str) -> Lease:
        lease = self._store.take(group)
        if lease is None:
            raise BusyError(
                f"another process updates the group {group!r}", resource=group, outcome="not_sent", hint="wait for its end"
            )
        return lease

    def _check_number(self, group: str, spec: RollingUpdateSpec) -> None:
        """Refuse more nodes at a time than the admission control of the group allows to fail."""
        failures = settings_of(self._node_store, group).failures
        if failures and spec.max_unavailable > failures:
            problem = SpecProblem("max_unavailable", str(spec.max_unavailable), f"1 to {failures}: VMs survive so many failures")
            raise InvalidSpecError(
                f"too many nodes of {group!r} at a time", problems=[problem], resource=group, outcome="not_sent"
            )

    def _check_nodes(self, nodes: Sequence[FleetNode], spec: RollingUpdateSpec) -> None:
        """Refuse nodes that take no VMs, and nodes on which the command can't run."""
        unusable = [
            f"{node.name} is {'cordoned' if node.status == 'up' else node.status}" for node in nodes if not node.accepts_vms
        ]
        if unusable:
            raise InvalidStateError(
                f"nodes of the group can't be updated: {', '.join(unusable)}",
                resource=nodes[0].group,
                outcome="not_sent",
                hint="`novacron node show` has the reason; take a node out of the group with `novacron node set`",
            )
        refuse_balanced(nodes, "let it empty the nodes one by one: `novacron vsphere node maintenance-enter NAME --evacuate`")
        uris = {host.name: host.uri for host in self._fleet.list()}
        for node in nodes if spec.command else ():
            argv = argv_for(spec.command, spec.run_on, uris[node.host])
            why = f"a host that is reached by SSH; {node.name} is not: run it `here`" if argv is None else missing_program(argv)
            if why is not None:
                field = "run_on" if argv is None else "command"
                problem = SpecProblem(field, spec.run_on if argv is None else spec.command[0], why)
                raise InvalidSpecError("the command can't run", problems=[problem], resource=node.name, outcome="not_sent")

    def _with_plans(self, update: RollingUpdate, spec: RollingUpdateSpec) -> RollingUpdate:
        """Add how each node would be emptied, together with those that are away at the same time."""
        for batch in batches(update, spec.max_unavailable):
            plans = self._maintenance.plan_together([node.id for node in batch], storage=spec.storage)
            for node, plan in zip(batch, plans, strict=True):
                update = update.with_node(node.id, plan=plan)
        return update


class _Carrying:
    """A rolling update under way."""

    def __init__(
        self, updates: RollingUpdates, update: RollingUpdate, lease: Lease, stop: threading.Event, tell: Callable[[str], object]
    ) -> None:
        self._fleet, self._nodes, self._maintenance = updates._fleet, updates._nodes, updates._maintenance
        self._store, self._update, self._lease, self._stop, self._tell = updates._store, update, lease, stop, tell
        self._spec, self._guard = RollingUpdateSpec.parse(update.settings), threading.Lock()

    def all(self) -> RollingUpdate:
        """Update all nodes that are left."""
        self._store.save(self._update, self._lease)
        try:
            for batch in batches(self._update, self._spec.max_unavailable):
                self._together([node.id for node in batch])
        except BaseException:
            self._stop.set()  # a command that runs in another thread ends
            raise
        return self._update

    def _together(self, nodes: Sequence[str]) -> None:
        """Update nodes that are away at the same time. VMs move for one node after the other, the commands run at once."""
        for node in nodes:
            self._noting(node, lambda node=node: self._drain(node, nodes))  # type: ignore[misc]
        errors = [
            answer.exception() for answer in fan_out(nodes, self._work, seconds=None, limit=len(nodes), name="novacron-update")
        ]
        for node, error in zip(nodes, errors, strict=True):
            if isinstance(error, NovaCronError):
                self._note(node, reason=str(error))
        for node, error in zip(nodes, errors, strict=True):
            if error is not None:
                raise self._stopped(node, error) if isinstance(error, NovaCronError) else error
        for node in nodes:
            self._noting(node, lambda node=node: self._return(node))  # type: ignore[misc]

    def _drain(self, node: str, together: Sequence[str]) -> None:
        """Empty a node, unless that is done. A node that somebody has used again meanwhile is emptied again."""
        stage = self._stage(node)
        if stage in ("answering", "returning") or (stage == "updating" and self._nodes[node].status == "maintenance"):
            return
        self._note(node, stage="draining", reason="")
        self._tell(f"{self._nodes[node].name}: its VMs move away")
        others = [other for other in together if other != node]
        left = self._maintenance.enter(
            node, storage=self._spec.storage, avoid=others, reason="rolling update", follow=self._follow
        ).stuck
        if left:
            raise MigrationError("; ".join(f"{vm.name} did not move: {vm.why}" for vm in left), resource=self._nodes[node].name)
        self._note(node, stage="updating")

    def _work(self, node: str) -> None:
        """Run the command for a node that is empty, and wait until the node answers."""
        found = self._nodes[node]
        if self._stage(node) == "updating":
            if self._spec.command:
                self._tell(f"{found.name}: the command runs")
                self._run(found)
            self._note(node, stage="answering")
        if self._stage(node) == "answering":
            self._until(found, lambda: self._answers(found), "did not answer")
            self._note(node, stage="returning")

    def _run(self, node: FleetNode) -> None:
        (uri,) = [host.uri for host in self._fleet.list() if host.name == node.host]
        argv = argv_for(self._spec.command, self._spec.run_on, uri)
        if argv is None:
            raise UnsupportedOperationError(f"the host of {node.name} is no longer reached by SSH", resource=node.name)
        reboots = self._spec.reboots
        before = boot_id(node, uri) if reboots else None
        run_program(argv, node, seconds=self._spec.command_timeout, stop=self._stop, may_disconnect=reboots)
        if not reboots:
            return
        self._tell(f"{node.name}: restarts")
        if before is None:
            self._until(node, lambda: not self._answers(node), "did not restart: it still answers")
            return

        def restarted() -> bool:
            try:
                return boot_id(node, uri) not in (None, before)
            except HostConnectionError:
                return False

        # its daemon may be restarted by the command, or the node may be back before anybody looks: only this tells a restart
        self._until(node, restarted, "did not restart, or is not reached by SSH,")

    def _return(self, node: str) -> None:
        """Use a node again, and move its VMs back."""
        name = self._nodes[node].name
        left: Sequence[StuckVM] = ()
        if self._maintenance.is_away(node):
            self._tell(f"{name}: its VMs come back")
            left = self._maintenance.leave(node, storage=self._spec.storage, follow=self._follow).stuck
        reason = "; ".join(f"{vm.name} did not come back: {vm.why}" for vm in left)
        self._note(node, stage="done", reason=reason)
        self._tell(f"{name}: done")
        if left:
            raise MigrationError(reason, resource=name)

    def _until(self, node: FleetNode, met: Callable[[], bool], what: str) -> None:
        """Wait until a condition of a node is met; `what` says what has not happened if it is not met in time."""
        end = time.monotonic() + self._spec.answer_timeout
        while not met():
            if time.monotonic() > end:
                seconds = f"after {self._spec.answer_timeout:g} s"
                raise OperationTimeoutError(f"{node.name} {what} {seconds}", resource=node.name)
            if self._stop.wait(INTERVAL):
                raise OperationCancelledError(f"the wait for {node.name} was stopped", resource=node.name)

    def _answers(self, node: FleetNode) -> bool:
        def look(host: HostHandle) -> bool:
            host.ping()
            nodes = host.nodes()
            return len(nodes) == 1 or any(each.name == node.name and each.status != "unreachable" for each in nodes)

        (answer,) = self._fleet.ask([node.host], look, timeout=ANSWER)
        return answer.error is None and bool(answer.value)

    def _follow(self, run: Run) -> None:
        """Wait for a run of migrations. It is cancelled if the update is to be stopped."""
        while not self._stop.is_set():
            try:
                settled(run, WATCH)
            except TimeoutError:
                continue
            return
        run.cancel()

    # ---- what is stored

    def _stage(self, node: str) -> UpdateStage:
        return next(each.stage for each in self._update.nodes if each.id == node)

    def _note(self, node: str, **changes: Any) -> None:
        """Store a change of a node."""
        with self._guard:
            self._update = self._update.with_node(node, **changes)
            self._store.save(self._update, self._lease)

    def _noting(self, node: str, step: Callable[[], None]) -> None:
        """Do a step of a node, unless the update is to be stopped. If it fails, the reason is stored."""
        try:
            if self._stop.is_set():
                raise OperationCancelledError("it was stopped", outcome="not_sent")
            step()
        except NovaCronError as error:
            self._note(node, reason=str(error))
            raise self._stopped(node, error) from error

    def _stopped(self, node: str, error: NovaCronError) -> NovaCronError:
        """Return the error that ends the update: where, why, which nodes are done, and how to continue."""
        group, name = self._update.group, next(each.node for each in self._update.nodes if each.id == node)
        kind = OperationCancelledError if isinstance(error, OperationCancelledError) else WorkflowError
        text = f"the rolling update of {group!r} stopped at {name}: {error}; {self._update}"
        stopped = kind(text, resource=group, hint=f"`novacron fleet rolling-update {group} --resume` continues")
        stopped.__cause__ = error
        return stopped


def batches(update: RollingUpdate, size: int) -> Iterator[Sequence[NodeUpdate]]:
    """Return the nodes that are left, in groups that are away at the same time."""
    left = update.left
    return (left[at : at + size] for at in range(0, len(left), size))


__all__ = ["RollingUpdates", "batches"]
