"""Balancing: moves VMs from nodes with much load to nodes with little, if the gain is worth the migration.

The imbalance of a group is the sum of three standard deviations over its nodes: the allocated share of memory, the allocated share of
vCPUs, and the measured use of the CPUs. All three are computed as they would be after each move. A plan only has moves that each lower the
imbalance by at least the margin, and it moves no VM twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import sqrt
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from novacron.errors import NotFoundError
from novacron.fleets.balancers import DEVIATION, BalancedGroup, PluginBalancer, balancer_named, proposals
from novacron.fleets.groups import settings_of
from novacron.fleets.moving import Storage, migrate_all, why_not
from novacron.fleets.nodes import Recorded, refuse_balanced
from novacron.fleets.placement.placer import Placer
from novacron.fleets.placement.planner import Planner
from novacron.fleets.placement.view import FleetView, Request
from novacron.records.capacity import Allocation, BalanceMove, BalancePlan, FleetNode, PlannedMove, StuckVM
from novacron.store.allocations import AllocationStore
from novacron.store.imbalances import ImbalanceStore
from novacron.store.nodes import NodeStore
from novacron.store.takers import Taker

if TYPE_CHECKING:
    from novacron.fleets.asking import Askable
    from novacron.specs.capacity import GroupSettings
    from novacron.workflow.run.run import Run

THRESHOLD, MARGIN, MOVES, COOL_DOWN = 0.1, 0.01, 10, 1800.0
"""The defaults of a group's balancing settings."""
ROUNDS = 3
"""How often a plan is made again without the moves whose pre-checks failed."""

Load = tuple[float, float, float]
"""Share of the memory and of the vCPUs that are allocated, and of the CPUs that are in use."""


def load_of(node: FleetNode) -> Load | None:
    """Return the load of a node; None without a measurement of its CPUs, so that nothing is decided without data."""
    if node.cpu_percent is None:
        return None
    shares = [
        0.0 if inventory.limit in (0, float("inf")) else inventory.allocated / inventory.limit
        for inventory in (node.memory, node.vcpus)
    ]
    return (shares[0], shares[1], node.cpu_percent / 100)


def imbalance(loads: Collection[Load]) -> float:
    """Return the sum of the standard deviations of the three shares.

    Example:
        >>> imbalance([(0.5, 0.5, 0.1), (0.5, 0.5, 0.1)]), round(imbalance([(1.0, 0.5, 0.1), (0.0, 0.5, 0.1)]), 2)
        (0.0, 0.5)
    """
    count = len(loads)
    if not count:
        return 0.0
    return sum(
        sqrt(max(0.0, sum(x * x for x in shares) / count - (sum(shares) / count) ** 2)) for shares in zip(*loads, strict=True)
    )


class BalancePlanner:
    """Plans the moves of one group, in memory.

    Args:
        planner: says which nodes can take a VM.
        view: the fleet; it is changed.
        nodes: ids of the nodes of the group that may take part.
        fixed: VMs that must not move.
        banned: pairs of VM and node whose pre-checks failed.
        measured: CPUs that VMs use, by UUID, as far as they were measured. Those of other VMs are estimated.
    """

    def __init__(
        self,
        planner: Planner,
        view: FleetView,
        nodes: Iterable[str],
        fixed: Collection[str],
        banned: Collection[tuple[str, str]],
        measured: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._measured = measured
        self._planner, self._view, self._fixed, self._banned = planner, view, fixed, banned
        self._loads = {node: load for node in nodes if (load := load_of(view.nodes[node])) is not None}
        self._parts = {node: _parts_of(view.nodes[node]) for node in self._loads}

    @property
    def imbalance(self) -> float:
        """The present imbalance."""
        return imbalance(self._loads.values())

    def plan(self, allocations: Sequence[Allocation], *, margin: float, limit: int) -> list[tuple[Allocation, str, float]]:
        """Return moves as VM, id of the destination, and gain: each time the move with the largest gain."""
        shares, movable = self._shares(allocations), self._movable(allocations)
        moves: list[tuple[Allocation, str, float]] = []
        while len(moves) < limit:
            found = self._best(movable, shares, margin)
            if found is None:
                break
            allocation, destination, gain = found
            del movable[allocation.vm]
            self._move(allocation, destination, shares)
            moves.append((allocation, destination, gain))
        return moves

    def proposed(
        self, balancer: PluginBalancer, allocations: Sequence[Allocation], *, limit: int
    ) -> list[tuple[Allocation, str, float]]:
        """Return the moves that a plugin's balancer proposes, as far as they are allowed, in its order. A gain may be negative."""
        shares, movable = self._shares(allocations), self._movable(allocations)
        nodes = tuple(self._view.nodes[node] for node in self._loads)
        vms = tuple(each for each in movable.values() if each.node in self._loads)
        group = BalancedGroup(nodes=nodes, vms=vms, cpus=shares, view=self._view.copy())
        moves: list[tuple[Allocation, str, float]] = []
        for vm, destination in proposals(balancer, group):
            allocation, before = movable.get(vm), self.imbalance
            if len(moves) == limit or allocation is None or not self._allowed(allocation, destination):
                continue
            del movable[vm]
            self._move(allocation, destination, shares)
            moves.append((allocation, destination, before - self.imbalance))
        return moves

    def _shares(self, allocations: Sequence[Allocation]) -> dict[str, float]:
        return _cpu_shares(allocations, self._view, self._measured)

    def _movable(self, allocations: Sequence[Allocation]) -> dict[str, Allocation]:
        return {each.vm: each for each in allocations if each.active and not each.pending and each.vm not in self._fixed}

    def _allowed(self, allocation: Allocation, destination: str) -> bool:
        """Return whether a VM may move between two nodes that take part, and fits there."""
        if not {allocation.node, destination} <= self._loads.keys() or (allocation.vm, destination) in self._banned:
            return False
        return destination != allocation.node and self._fits(allocation, destination)

    def _fits(self, allocation: Allocation, destination: str) -> bool:
        request = Request(taker=_taker(allocation), excluded=frozenset({allocation.node}))
        return self._planner.fits(request, self._view.nodes[destination], self._view)

    def _move(self, allocation: Allocation, destination: str, shares: dict[str, float]) -> None:
        taker = _taker(allocation)
        self._view.remove(taker, allocation.node)
        self._view.add(taker, destination)
        self._loads[allocation.node], self._loads[destination] = self._after(allocation, destination, shares)

    def _best(
        self, movable: dict[str, Allocation], shares: dict[str, float], margin: float
    ) -> tuple[Allocation, str, float] | None:
        gains = sorted(self._gains(movable, shares, margin), key=lambda each: (-each[2], each[0].name, each[1]))
        for allocation, destination, gain in gains:
            if self._fits(allocation, destination):
                return allocation, destination, gain
        return None

    def _gains(
        self, movable: dict[str, Allocation], shares: dict[str, float], margin: float
    ) -> Iterator[tuple[Allocation, str, float]]:
        """Yield each move with at least the margin as gain. Sums are kept, so that no move needs a loop over all nodes."""
        present, count = self.imbalance, len(self._loads)
        sums = [sum(load[i] for load in self._loads.values()) for i in range(3)]
        squares = [sum(load[i] ** 2 for load in self._loads.values()) for i in range(3)]
        for allocation in movable.values():
            source = self._loads.get(allocation.node)
            if source is None:
                continue
            size = (allocation.amounts.memory_bytes, allocation.amounts.vcpus, shares.get(allocation.vm, 0.0))
            left = [
                max(0.0, load - amount * part)
                for load, amount, part in zip(source, size, self._parts[allocation.node], strict=True)
            ]
            base = [total + new - old for total, new, old in zip(sums, left, source, strict=True)]
            base_squares = [total + new * new - old * old for total, new, old in zip(squares, left, source, strict=True)]
            for destination, load in self._loads.items():
                if destination == allocation.node or (allocation.vm, destination) in self._banned:
                    continue
                total = 0.0
                for i, part in enumerate(self._parts[destination]):
                    old = load[i]
                    new = old + size[i] * part
                    mean = (base[i] + new - old) / count
                    total += sqrt(max(0.0, (base_squares[i] + new * new - old * old) / count - mean * mean))
                if present - total >= margin:
                    yield allocation, destination, present - total

    def _after(self, allocation: Allocation, destination: str, shares: dict[str, float]) -> tuple[Load, Load]:
        """Return the loads of source and destination after a move. The used CPU time moves with the VM."""
        size = (allocation.amounts.memory_bytes, allocation.amounts.vcpus, shares.get(allocation.vm, 0.0))
        return (
            _shifted(self._loads[allocation.node], size, self._parts[allocation.node], -1),
            _shifted(self._loads[destination], size, self._parts[destination], 1),
        )


def _parts_of(node: FleetNode) -> Load:
    """Return which share of a node one byte of memory, one vCPU and one used CPU are."""
    limits = [0.0 if inventory.limit in (0, float("inf")) else 1 / inventory.limit for inventory in (node.memory, node.vcpus)]
    return (limits[0], limits[1], 1 / max(1, node.vcpus.total))


def _shifted(load: Load, size: tuple[float, float, float], parts: Load, sign: int) -> Load:
    memory, vcpus, used = (max(0.0, value + sign * amount * part) for value, amount, part in zip(load, size, parts, strict=True))
    return (memory, vcpus, used)


def _cpu_shares(allocations: Sequence[Allocation], view: FleetView, measured: Mapping[str, float]) -> dict[str, float]:
    """Return how many CPUs each VM uses: as measured, otherwise its part by vCPUs of what its node uses besides."""
    others, rest = dict[str, int](), {node.id: node.vcpus.used or 0.0 for node in view.nodes.values()}
    for each in allocations:
        if each.vm in measured:
            rest[each.node] = max(0.0, rest.get(each.node, 0.0) - measured[each.vm])
        else:
            others[each.node] = others.get(each.node, 0) + each.amounts.vcpus
    estimated = {
        each.vm: rest[each.node] * each.amounts.vcpus / others[each.node]
        for each in allocations
        if each.vm not in measured and others[each.node] and each.node in rest
    }
    return estimated | dict(measured)


def _taker(allocation: Allocation) -> Taker:
    return Taker(
        vm=allocation.vm,
        name=allocation.name,
        amounts=allocation.amounts,
        tags=allocation.tags,
        locked_memory=allocation.locked_memory,
    )


class Balancer:
    """Balances groups: `fleet.balance("prod")`.

    Args:
        fleet: the fleet.
        store: where nodes are stored.
        allocations: where allocations are stored.
        placer: returns what decides where VMs go.
        imbalances: where it is stored since when groups are imbalanced.
        recorded: writes audit lines.
        measured: returns how many CPUs each VM uses, by UUID; VMs that were not measured are missing.
        hooks: returns the hooks of the plugins, which may have balancers of their own.
    """

    def __init__(
        self,
        fleet: Askable,
        store: NodeStore,
        allocations: AllocationStore,
        placer: Callable[[], Placer],
        imbalances: ImbalanceStore,
        recorded: Recorded,
        measured: Callable[[], Mapping[str, float]],
        hooks: Callable[[], Any],
    ) -> None:
        self._fleet, self._store, self._allocations, self._imbalances = fleet, store, allocations, imbalances
        self._placer, self._recorded, self._measured, self._hooks = placer, recorded, measured, hooks

    def plan(self, group: str, *, storage: Storage = "shared") -> BalancePlan:
        """Return the moves that would balance a group. Nothing is changed.

        Raises:
            NotFoundError: no node belongs to the group.
            InvalidStateError: something else balances the nodes, such as vSphere's DRS.
            InvalidSpecError: no plugin has the balancer that the group wants.
            PluginError: the plugin's balancer failed.
        """
        return self._planned(group, settings_of(self._store, group), storage)

    def _planned(self, group: str, settings: GroupSettings, storage: Storage) -> BalancePlan:
        """Return the moves that would balance a group with these settings."""
        cool_down = COOL_DOWN if settings.balance_cool_down is None else settings.balance_cool_down
        threshold = THRESHOLD if settings.balance_threshold is None else settings.balance_threshold
        fixed = self._allocations.moved_within(cool_down)
        names: dict[str, str] = {}
        banned: dict[tuple[str, str], str] = {}
        measured, balancer = self._measured(), balancer_named(self._hooks(), settings.balancer)
        for _ in range(ROUNDS):
            placer = self._placer()
            view = placer.view()
            members = [node for node in view.nodes.values() if node.group == group]
            if not members:
                raise NotFoundError(
                    f"no node belongs to a group {group!r}", resource=group, hint="`novacron fleet groups` shows them"
                )
            refuse_balanced(
                members, "leave balancing to it; `novacron vsphere cluster recommendation-list` shows what it recommends"
            )
            usable = [node.id for node in members if node.accepts_vms]
            planner = BalancePlanner(placer.planner(), view, usable, fixed, banned, measured)
            before = planner.imbalance
            vms = [each for each in placer.allocations() if each.node in set(usable)]
            names |= {each.vm: each.name for each in vms}
            moves = []
            if balancer is not None:
                moves = planner.proposed(balancer, vms, limit=settings.balance_moves or MOVES)
            elif before > threshold:
                margin = MARGIN if settings.balance_margin is None else settings.balance_margin
                moves = planner.plan(vms, margin=margin, limit=settings.balance_moves or MOVES)
            found = [_move(allocation, view, destination, gain) for allocation, destination, gain in moves]
            failed = self._failed(found, storage)
            if not failed:
                break
            banned |= failed
        else:
            found = []
        return BalancePlan(
            group=group,
            before=round(before, 4),
            after=round(planner.imbalance if found else before, 4),
            threshold=threshold,
            moves=tuple(found),
            cooling_down=len([each for each in vms if each.vm in fixed]),
            without_metrics=tuple(sorted(node.name for node in members if node.cpu_percent is None)),
            stuck=tuple(StuckVM(vm=vm, name=names[vm], why=why) for (vm, _), why in banned.items()),
        )

    def once(
        self,
        group: str,
        *,
        limit: int | None = None,
        storage: Storage = "shared",
        follow: Callable[[Run], object] | None = None,
    ) -> BalancePlan:
        """Carry out the plan of a group as one run, if the imbalance has lasted for the hold time, and return it.

        Args:
            group: the group's name.
            limit: how many moves to carry out, from the first on; None for all.
            storage: whether the disks are copied.
            follow: called with the run; afterwards its end is waited for.
        """
        settings = settings_of(self._store, group)
        plan = self._planned(group, settings, storage)
        own = settings.balancer in (None, DEVIATION)
        lasted = self._imbalances.note(group, imbalanced=plan.before > plan.threshold if own else bool(plan.moves))
        hold = (settings.balance_hold or 0.0) - lasted
        if plan.moves and hold > 0:
            return plan.replace(hold=round(hold, 1))
        moves = [
            PlannedMove(vm=m.vm, name=m.name, node=m.node, node_id=m.node_id, host=m.host, source=m.source_host)
            for m in plan.moves[:limit]
        ]
        with self._recorded("fleet_balance", group, {"moves": [f"{move.name} to {move.node}" for move in moves]}):
            migrate_all(self._fleet, self._store, f"balance-{group}", moves, storage, follow)
        return plan.replace(carried_out=len(moves))

    def _failed(self, moves: Sequence[BalanceMove], storage: Storage) -> dict[tuple[str, str], str]:
        """Run the pre-checks of all moves; return why some fail."""
        nodes = {node.id: node for node in self._store.list()}
        pairs = [(self._fleet.hosts[move.source_host].vms[move.vm], nodes[move.node_id]) for move in moves]
        answers = why_not(self._fleet, self._store, pairs, storage)
        return {(move.vm, move.node_id): f"{move.node}: {why}" for move, why in zip(moves, answers, strict=True) if why}


BalanceMode = Literal["manual", "partial", "full"]
"""manual: only the plan. partial: its first move is carried out, so that the next plan begins with new measurements. full: all moves."""


def _move(allocation: Allocation, view: FleetView, destination: str, gain: float) -> BalanceMove:
    source, target = view.nodes[allocation.node], view.nodes[destination]
    return BalanceMove(
        vm=allocation.vm,
        name=allocation.name,
        source=source.name,
        source_host=source.host,
        node=target.name,
        node_id=target.id,
        host=target.host,
        gain=round(gain, 4),
        memory_bytes=allocation.amounts.memory_bytes,
    )


__all__ = ["BalanceMode", "BalancePlanner", "Balancer", "imbalance", "load_of"]
