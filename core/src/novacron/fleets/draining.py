"""Plans how nodes are emptied and how their VMs come back. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from novacron.errors import NovaCronError
from novacron.fleets.demand import INACTIVE, taker_of
from novacron.fleets.moving import Storage, why_not
from novacron.fleets.placement.placer import Placer
from novacron.fleets.placement.planner import Planner
from novacron.fleets.placement.view import FleetView, Request
from novacron.records.capacity import DrainPlan, FleetNode, PlannedMove, StuckVM
from novacron.store.nodes import NodeStore

if TYPE_CHECKING:
    from novacron.fleets.asking import Askable
    from novacron.handles.vm import VMHandle
    from novacron.store.takers import Taker

CANDIDATES = 3
"""How many destinations are checked for a VM."""


class DrainPlanner:
    """Plans how nodes are emptied.

    Args:
        fleet: the fleet.
        store: where nodes are stored.
        placer: returns what decides where VMs go.
    """

    def __init__(self, fleet: Askable, store: NodeStore, placer: Callable[[], Placer]) -> None:
        self._fleet, self._store, self._placer = fleet, store, placer

    def plan(
        self,
        node: FleetNode,
        storage: Storage,
        *,
        stopped: bool,
        away: frozenset[str],
        moved: list[tuple[Taker, str, str]],
    ) -> DrainPlan:
        """Return how a node would be emptied.

        Args:
            node: the node.
            storage: whether the disks are copied.
            stopped: also move VMs that are not active.
            away: ids of other nodes that take no VM.
            moved: VMs that have moved by then, with the ids of their nodes before and afterwards. The VMs of this plan are appended.
        """
        vms = self.vms_of(node, stopped=stopped)
        view, planner = self._view(node, away, moved), self._placer().planner()
        chosen, stuck = self._destinations(node, vms, view, planner)
        if stuck:
            other_view = self._view(node, away, moved)
            better = self._together(node, vms, other_view, planner)
            if len(better[1]) < len(stuck):
                (chosen, stuck), view = better, other_view
        failures = self._checked(vms, chosen, storage)
        for vm_id, why in failures.items():
            other = self._other_destination(node, vms[vm_id], chosen.pop(vm_id), view, planner, storage)
            if isinstance(other, FleetNode):
                chosen[vm_id] = other
            else:
                stuck[vm_id] = "; ".join([why, *other])
        moved += [(taker_of(vms[vm_id].record), node.id, to.id) for vm_id, to in chosen.items()]
        moves = [
            PlannedMove(vm=vm_id, name=vms[vm_id].name, node=to.name, node_id=to.id, host=to.host, source=node.host)
            for vm_id, to in chosen.items()
        ]
        return DrainPlan(
            node=node.name,
            id=node.id,
            moves=tuple(sorted(moves, key=lambda move: move.name)),
            stuck=tuple(sorted((StuckVM(vm=vm, name=vms[vm].name, why=why) for vm, why in stuck.items()), key=lambda s: s.name)),
        )

    def _view(self, node: FleetNode, away: frozenset[str], moved: Iterable[tuple[Taker, str, str]]) -> FleetView:
        """Return what placement knows once some VMs have moved, without the nodes that take no VM."""
        view = self._placer().view()
        for taker, source, destination in moved:
            view.remove(taker, source)
            view.add(taker, destination)
        for other in away - {node.id}:
            view.nodes.pop(other, None)
        return view

    def vms_of(self, node: FleetNode, *, stopped: bool) -> dict[str, VMHandle]:
        """Return the VMs of a node by id, as its hypervisor reports them now. Large VMs come first, because they are harder to place."""
        host = self._fleet.hosts[node.host]
        several = len(host.nodes()) > 1
        found = [
            vm
            for vm in host.vms.list(detail="full")
            if (not several or vm.record.node == node.name) and (stopped or vm.record.status not in INACTIVE)
        ]
        found.sort(key=lambda vm: (-vm.record.memory_bytes, vm.name))
        return {vm.id: vm for vm in found}

    def _destinations(
        self, node: FleetNode, vms: dict[str, VMHandle], view: FleetView, planner: Planner
    ) -> tuple[dict[str, FleetNode], dict[str, str]]:
        """Place all VMs in memory. Returns the nodes, and why VMs fit nowhere."""
        chosen, stuck = {}, {}
        for vm_id, vm in vms.items():
            request = self._request(node, vm)
            found = planner.best(request, view)
            if found is None:
                rejected = planner.explain(request, view).rejected
                reasons = [f"{each.node}: {', '.join(each.reasons)}" for each in rejected if each.id != node.id]
                stuck[vm_id] = "; ".join(reasons[:CANDIDATES]) or "there is no other node"
                continue
            view.remove(request.taker, node.id)
            view.add(request.taker, found.id)
            chosen[vm_id] = found
        return chosen, stuck

    def _together(
        self, node: FleetNode, vms: dict[str, VMHandle], view: FleetView, planner: Planner
    ) -> tuple[dict[str, FleetNode], dict[str, str]]:
        """Place all VMs in memory as one batch, which fits more than one VM after the other. VMs with a "must" affinity come last."""
        bound = {rule.tag for rule in view.rules if rule.must and rule.kind == "affinity"}
        requests = [self._request(node, vm) for vm in vms.values()]
        requests = [each for each in requests if not bound & each.taker.tags]
        for request in requests:
            view.remove(request.taker, node.id)
        chosen, left = planner.all(requests, view)
        for request in left:
            view.add(request.taker, node.id)
        last, stuck = self._destinations(node, {vm: each for vm, each in vms.items() if vm not in chosen}, view, planner)
        return chosen | last, stuck

    def _checked(self, vms: dict[str, VMHandle], chosen: dict[str, FleetNode], storage: Storage) -> dict[str, str]:
        """Run the pre-checks of all migrations at once. Returns why VMs can't move to the chosen node."""
        reasons = why_not(self._fleet, self._store, [(vms[vm_id], to) for vm_id, to in chosen.items()], storage)
        return {vm_id: f"{to.name}: {why}" for (vm_id, to), why in zip(chosen.items(), reasons, strict=True) if why}

    def _other_destination(
        self, node: FleetNode, vm: VMHandle, tried: FleetNode, view: FleetView, planner: Planner, storage: Storage
    ) -> FleetNode | Sequence[str]:
        """Return another node for a VM whose first destination failed the pre-checks, or why there is none."""
        request = self._request(node, vm)
        view.remove(request.taker, tried.id)
        reasons = []
        for candidate in planner.explain(request, view).candidates[:CANDIDATES]:
            if candidate.id == tried.id:
                continue
            (why,) = why_not(self._fleet, self._store, [(vm, view.nodes[candidate.id])], storage)
            if not why:
                view.add(request.taker, candidate.id)
                return view.nodes[candidate.id]
            reasons.append(f"{candidate.node}: {why}")
        return reasons

    def plan_back(self, node: FleetNode, vm_ids: Sequence[str]) -> DrainPlan:
        """Return the moves of VMs back to their node. VMs that were deleted or stopped meanwhile are left out."""
        view, planner = self._placer().view(), self._placer().planner()
        allocations = self._placer().allocations()
        places = {each.vm: each.node for each in allocations if each.active}
        names = {each.vm: each.name for each in allocations}
        moves, stuck = [], []
        for vm_id in vm_ids:
            place = view.nodes.get(places.get(vm_id, ""))
            if place is None or place.id == node.id:
                continue
            try:
                vm = self._fleet.hosts[place.host].vms[vm_id]
            except NovaCronError as error:
                stuck.append(StuckVM(vm=vm_id, name=names[vm_id], why=str(error)))
                continue
            request = self._request(place, vm)
            rejected = {each.id: each.reasons for each in planner.explain(request, view).rejected}
            if node.id in rejected:
                stuck.append(StuckVM(vm=vm_id, name=vm.name, why="; ".join(rejected[node.id])))
                continue
            view.remove(request.taker, place.id)
            view.add(request.taker, node.id)
            moves.append(PlannedMove(vm=vm_id, name=vm.name, node=node.name, node_id=node.id, host=node.host, source=place.host))
        return DrainPlan(node=node.name, id=node.id, moves=tuple(moves), stuck=tuple(stuck))

    def _request(self, node: FleetNode, vm: VMHandle) -> Request:
        return Request(taker=taker_of(vm.record), group=node.group, excluded=frozenset({node.id}))


__all__ = ["DrainPlanner"]
