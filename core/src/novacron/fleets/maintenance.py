"""Maintenance of nodes: moves the VMs of a node away, keeps new ones off it, and moves the VMs back afterwards.

The moves are one durable run of the workflow engine. It can be cancelled and resumed, and the setting `migrations_per_host` limits how many
VMs move at a time. A node is emptied in one round: VMs that could not move are reported, and no move is repeated without end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from novacron.errors import InvalidStateError, MigrationCheckError, NovaCronError
from novacron.fleets.demand import INACTIVE, taker_of
from novacron.fleets.moving import Storage, migrate_all, why_not
from novacron.fleets.nodes import NodeCollection, Recorded
from novacron.fleets.placement.placer import Placer
from novacron.fleets.placement.planner import Planner
from novacron.fleets.placement.view import FleetView, Request
from novacron.records.capacity import DrainPlan, FleetNode, PlannedMove, StuckVM
from novacron.store.nodes import NodeStore

if TYPE_CHECKING:
    from novacron.fleets.asking import Askable
    from novacron.handles.vm import VMHandle
    from novacron.workflow.run.run import Run

CANDIDATES = 3
"""How many destinations are checked for a VM."""


class Maintenance:
    """Maintenance of nodes: `fleet.maintenance.enter("kvm1")`.

    Args:
        fleet: the fleet.
        nodes: the nodes.
        store: where nodes are stored.
        placer: returns what decides where VMs go.
        recorded: writes audit lines.

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
        self, fleet: Askable, nodes: NodeCollection, store: NodeStore, placer: Callable[[], Placer], recorded: Recorded
    ) -> None:
        self._fleet, self._nodes, self._store, self._placer, self._recorded = fleet, nodes, store, placer, recorded

    def __repr__(self) -> str:
        return "<maintenance of the fleet's nodes>"

    def plan(self, name: str, *, storage: Storage = "shared", stopped: bool = False) -> DrainPlan:
        """Return how a node would be emptied: where each VM would move, and which VMs can't move and why. Nothing is changed.

        Args:
            name: the node's name or UUID.
            storage: "shared" expects the disks on both hosts, "copy" copies them.
            stopped: also move VMs that are not active. Otherwise they stay on the node.

        Raises:
            NodeNotFoundError: there is no such node.
        """
        node = self._nodes[name]
        vms = self._vms_of(node, stopped=stopped)
        view, planner = self._placer().view(), self._placer().planner()
        chosen, stuck = self._destinations(node, vms, view, planner)
        if stuck:
            other_view = self._placer().view()
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

    def enter(
        self,
        name: str,
        *,
        storage: Storage = "shared",
        stopped: bool = False,
        partial: bool = False,
        reason: str = "",
        follow: Callable[[Run], object] | None = None,
    ) -> DrainPlan:
        """Put a node into maintenance: it takes no further VMs, and its VMs move away.

        Args:
            name: the node's name or UUID.
            storage: as `plan`.
            stopped: as `plan`.
            partial: move the others even if some VMs can't move. Otherwise nothing is changed then.
            reason: why, for other people.
            follow: called with the run of the moves, and waits for it; by default `run.wait()`.

        Returns:
            The plan that was carried out. `stuck` also has the VMs whose migration failed.

        Raises:
            MigrationCheckError: some VMs can't move; `failures` names each of them.
            InvalidStateError: the node is in maintenance already, or a failover uses it.
            OperationCancelledError: the run was cancelled. The node stays in maintenance; `leave` moves the VMs back.
        """
        node = self._nodes[name]
        if node.status not in ("up", "unreachable", "maintenance"):
            raise InvalidStateError(
                f"{node.name} is {node.status}", resource=node.name, hint="`novacron node show` has the reason"
            )
        before = node.status, node.reason
        with self._recorded("maintenance_enter", node.name, {"storage": storage, "partial": partial, "reason": reason}):
            self._store.change(node.id, status="maintenance", reason=reason or "maintenance")
            try:
                plan = self.plan(node.id, storage=storage, stopped=stopped)
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
                self._store.change(node.id, status=before[0], reason=before[1])
                raise
            self._remember(node, [*self._store.evacuated(node.id), *(move.vm for move in plan.moves)])
            migrate_all(self._fleet, self._store, f"maintenance-{node.name}", plan.moves, storage, follow)
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
            InvalidStateError: the node is not in maintenance.
        """
        node = self._nodes[name]
        if node.status != "maintenance":
            raise InvalidStateError(f"{node.name} is not in maintenance: it is {node.status}", resource=node.name)
        with self._recorded("maintenance_leave", node.name, {"keep_vms": keep_vms}):
            self._store.change(node.id, status="up", reason="")
            self._nodes.refresh([node.host])
            returning = [] if keep_vms else self._store.evacuated(node.id)
            self._remember(node, [])
            plan = self._plan_back(self._nodes[node.id], returning)
            migrate_all(self._fleet, self._store, f"maintenance-{node.name}", plan.moves, storage, follow)
        return plan

    # ---- plans

    def _vms_of(self, node: FleetNode, *, stopped: bool) -> dict[str, VMHandle]:
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

    def _plan_back(self, node: FleetNode, vm_ids: Sequence[str]) -> DrainPlan:
        """Return the moves of VMs back to their node. VMs that were deleted or stopped meanwhile are left out."""
        view, planner = self._placer().view(), self._placer().planner()
        places = {each.vm: each.node for each in self._placer().allocations() if each.active}
        moves, stuck = [], []
        for vm_id in vm_ids:
            place = view.nodes.get(places.get(vm_id, ""))
            if place is None or place.id == node.id:
                continue
            try:
                vm = self._fleet.hosts[place.host].vms[vm_id]
            except NovaCronError as error:
                stuck.append(StuckVM(vm=vm_id, name=vm_id, why=str(error)))
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

    def _with_failures(self, node: FleetNode, plan: DrainPlan) -> DrainPlan:
        """Return the plan with the VMs that are still on the node as stuck."""
        left = self._vms_of(node, stopped=False)
        known = {each.vm for each in plan.stuck}
        failed = [
            StuckVM(vm=vm_id, name=vm.name, why="its migration failed; `novacron run list` shows the run")
            for vm_id, vm in left.items()
            if vm_id not in known
        ]
        moves = tuple(move for move in plan.moves if move.vm not in left)
        return DrainPlan(node=plan.node, id=plan.id, moves=moves, stuck=(*plan.stuck, *failed))

    def _remember(self, node: FleetNode, vms: Sequence[str]) -> None:
        self._store.change(node.id, evacuated=sorted(set(vms)))


__all__ = ["Maintenance"]
