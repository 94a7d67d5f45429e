"""Migrations of several VMs: their pre-checks at once, and one durable run for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from novacron.errors import NovaCronError, WorkflowError
from novacron.fleets.asking import Askable
from novacron.records.capacity import FleetNode, PlannedMove
from novacron.store.nodes import NodeStore
from novacron.threads import fan_out

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.workflow.run.run import Run

Storage = Literal["shared", "copy", "copy-top"]
"""Whether the disks are on both hosts ("shared"), or are copied."""
CHECKED_AT_ONCE = 16
"""How many migrations are checked at a time."""


def why_not(fleet: Askable, store: NodeStore, moves: Sequence[tuple[VMHandle, FleetNode]], storage: Storage) -> list[str]:
    """Run the pre-checks of migrations, many at a time; return for each why it can't be done, empty if it can."""
    answers = fan_out(
        moves, lambda move: _checked(fleet, store, *move, storage), seconds=60.0, limit=CHECKED_AT_ONCE, name="novacron-moves"
    )
    return [answer.result() if answer.done() else "the pre-checks did not end in time" for answer in answers]


def migrate_all(
    fleet: Askable,
    store: NodeStore,
    name: str,
    moves: Sequence[PlannedMove],
    storage: Storage,
    follow: Callable[[Run], object] | None,
) -> None:
    """Run migrations as one flow. One that fails does not stop the others.

    Args:
        fleet: the fleet.
        store: where nodes are stored.
        name: the name of the flow.
        moves: the migrations; nothing happens without any.
        storage: whether the disks are copied.
        follow: called with the run; afterwards its end is waited for.
    """
    if not moves:
        return
    from novacron.workflow import parallel, steps, workflow

    nodes = {each.id: each for each in store.list()}
    vms = [fleet.hosts[move.source].vms[move.vm] for move in moves]
    flows = [
        steps.migrate(move.host, storage=storage, **_node_of(store, nodes[move.node_id])).each([vm]).on_failure("continue")
        for move, vm in zip(moves, vms, strict=True)
    ]
    flow = workflow(name, flows[0] if len(flows) == 1 else parallel(*flows))
    engine = vms[0].host.engine
    if engine is None:
        raise WorkflowError("the host belongs to no site, so workflows can't run", resource=name)
    wait_for(engine().start(flow, vms, wait=False), follow)


def wait_for(run: Run, follow: Callable[[Run], object] | None) -> None:
    """Wait until a run has ended.

    Args:
        run: the run.
        follow: called with the run before that, if given.

    Raises:
        WorkflowError: the run failed.
        OperationCancelledError: the run was cancelled.
    """
    if follow is not None:
        follow(run)
    run.result()


def _checked(fleet: Askable, store: NodeStore, vm: VMHandle, to: FleetNode, storage: Storage) -> str:
    try:
        check = vm.migration_check(fleet.hosts[to.host], storage=storage, **_node_of(store, to))
    except NovaCronError as error:
        return str(error)
    return "; ".join(check.failures)


def _node_of(store: NodeStore, node: FleetNode) -> dict[str, Any]:
    """Return the option that names a node within a host that has several, as a vCenter does."""
    several = sum(1 for each in store.list() if node.host in each.hosts) > 1
    return {"node": node.name} if several else {}


__all__ = ["Storage", "migrate_all", "wait_for", "why_not"]
