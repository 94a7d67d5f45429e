"""Places VMs: `fleet.place(spec)` says where a VM fits, `fleet.create(spec)` creates it there."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import (
    HostConnectionError,
    InvalidSpecError,
    NotFoundError,
    NovaCronError,
    ResourceAllocationError,
    SpecProblem,
)
from novacron.fleets.asking import Askable
from novacron.fleets.demand import demand_of, locked_memory_of, taker_of
from novacron.fleets.groups import settings_of
from novacron.fleets.placement.planner import Planner
from novacron.fleets.placement.view import FleetView, Request
from novacron.records.capacity import Allocation, Placement
from novacron.store.allocations import AllocationStore
from novacron.store.nodes import NodeStore
from novacron.store.rules import RuleStore
from novacron.store.takers import Taker

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.specs import VMSpec

TRIES = 5
"""How many candidates are tried before a creation is given up."""


class Placer:
    """Decides where VMs go.

    Args:
        fleet: the fleet.
        nodes: the stored nodes.
        allocations: the allocations.
        rules: the placement rules.
        hooks: returns the hooks of the plugins.
        actor: who owns new VMs.
    """

    def __init__(
        self,
        fleet: Askable,
        nodes: NodeStore,
        allocations: AllocationStore,
        rules: RuleStore,
        hooks: Callable[[], Any],
        actor: str,
    ) -> None:
        self._fleet, self._nodes, self._allocations, self._rules = fleet, nodes, allocations, rules
        self._hooks, self._actor = hooks, actor

    def planner(self) -> Planner:
        """Return a planner with the filters and weighers of all plugins."""
        hooks = self._hooks()
        filters = [each for given in hooks.placement_filters() for each in given]
        weighers = [each for given in hooks.placement_weighers() for each in given]
        strategies: dict[str | None, str] = {}

        def strategy(group: str | None) -> str:
            if group not in strategies:
                strategies[group] = settings_of(self._nodes, group).strategy or "spread"
            return strategies[group]

        return Planner(filters, weighers, strategy)

    def view(self) -> FleetView:
        """Return the stored nodes, the rules, and the VMs that rules concern."""
        rules = self._rules.rules()
        return FleetView(self._nodes.list(), rules, self._allocations.list() if rules else ())

    def allocations(self) -> Sequence[Allocation]:
        """Return all allocations."""
        return self._allocations.list()

    def place(self, spec: VMSpec, group: str | None, labels: Mapping[str, str]) -> Placement:
        """Return where a VM fits. Nothing is claimed."""
        view = self.view()
        self._check(view, group, labels)
        return self.planner().explain(self._request(spec, group, labels), view)

    def destinations(self, vm: VMHandle, group: str | None, labels: Mapping[str, str]) -> Placement:
        """Return to which nodes a VM could move. Its own node is excluded."""
        view = self.view()
        self._check(view, group, labels)
        record = vm.refresh().record
        here = {node.id for node in view.nodes.values() if vm.host.name in node.hosts and record.node in (None, node.name)}
        taker = taker_of(record, self._actor)
        return self.planner().explain(Request(taker=taker, group=group, labels=dict(labels), excluded=frozenset(here)), view)

    def create(
        self,
        spec: VMSpec,
        group: str | None,
        labels: Mapping[str, str],
        make: Callable[[HostHandle, VMSpec], VMHandle],
    ) -> VMHandle:
        """Create a VM on the best node. If it can't be created there, the next candidates are tried."""
        placement = self.place(spec, group, labels)
        if not placement.candidates:
            raise no_room(placement)
        failed: list[NovaCronError] = []
        for candidate in placement.candidates[:TRIES]:
            several = sum(1 for node in self._nodes.list() if candidate.host in node.hosts) > 1
            placed = spec.model_copy(update={"node": candidate.node}) if several else spec
            try:
                return make(self._fleet.hosts[candidate.host], placed)
            except (ResourceAllocationError, NotFoundError, HostConnectionError) as error:
                if error.outcome == "unknown":
                    raise
                error.host = error.host or candidate.host
                failed.append(error)
        first = failed[0]
        for other in failed[1:]:
            first.add_note(f"{other.host}: {other}")
        raise first

    def _request(self, spec: VMSpec, group: str | None, labels: Mapping[str, str]) -> Request:
        """Return the request for a new VM. vCPUs and memory count even if it is not started yet, so that it can start there."""
        taker = Taker(
            vm=f"new:{uuid.uuid4()}",
            name=spec.name,
            amounts=demand_of(spec),
            owner=self._actor,
            tags=frozenset(spec.tags),
            locked_memory=locked_memory_of(spec),
        )
        return Request(taker=taker, group=group, labels=dict(labels))

    def _check(self, view: FleetView, group: str | None, labels: Mapping[str, str]) -> None:
        groups = sorted({node.group for node in view.nodes.values() if node.group})
        if group is not None and group not in groups:
            hint = f"there are: {', '.join(groups)}" if groups else "`novacron node set NAME --group GROUP` makes one"
            raise NotFoundError(f"no node belongs to a group {group!r}", resource=group, hint=hint)
        known = sorted({label for node in view.nodes.values() for label in node.labels})
        problems = [
            SpecProblem("label", name, f"a label of a node: {', '.join(known) or 'there is none yet'}")
            for name in labels
            if name not in known
        ]
        if problems:
            raise InvalidSpecError("unknown labels", problems=problems)


def no_room(placement: Placement) -> ResourceAllocationError:
    """Return the error for a VM that fits nowhere, with the reasons of the first nodes."""
    shown = "; ".join(f"{each.node}: {', '.join(each.reasons)}" for each in placement.rejected[:3])
    more = f"; and {len(placement.rejected) - 3} more nodes" if len(placement.rejected) > 3 else ""
    return ResourceAllocationError(
        f"no node can take {placement.name!r}: {shown or 'the fleet has no nodes'}{more}",
        resource=placement.name,
        outcome="not_sent",
        hint="`novacron fleet explain` shows the reasons of all nodes",
    )


__all__ = ["Placer", "no_room"]
