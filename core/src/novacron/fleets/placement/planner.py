"""Applies filters and weighers to the nodes of the fleet."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence

from novacron.errors import PluginError
from novacron.fleets.placement.batch import place_batch
from novacron.fleets.placement.filters import FILTERS, Filter
from novacron.fleets.placement.view import FleetView, Request, needs
from novacron.fleets.placement.weighers import STRATEGIES, WEIGHERS, Weigher, scaled
from novacron.plugins.functions import checked, function_name
from novacron.records.capacity import Candidate, FleetNode, Placement, Rejection

ONE_BY_ONE = 200
"""Up to so many VMs of a batch are placed one after the other first."""


class Planner:
    """Finds nodes for VMs.

    Args:
        filters: further filters of plugins.
        weighers: further weighers of plugins. The attribute `weight` of a function is its weight, 1.0 without one.
        strategy: returns the strategy of a group, "spread" or "pack".
    """

    def __init__(
        self,
        filters: Iterable[Filter] = (),
        weighers: Iterable[Weigher] = (),
        strategy: Callable[[str | None], str] = lambda group: "spread",
    ) -> None:
        # those of plugins have no names here: two may be called the same, or as a built-in one, and all of them are asked
        self._filters: list[tuple[str, Filter]] = [
            *FILTERS.items(),
            *(("", checked("placement filter", each, _reason)) for each in filters),
        ]
        self._weighers = [(_checked_weigher(each), float(getattr(each, "weight", 1.0))) for each in weighers]
        self._strategy = strategy

    def explain(self, request: Request, view: FleetView) -> Placement:
        """Return all candidates, the best first, and the reasons of all filters for each node that is none."""
        candidates, rejected = [], []
        for node in view.nodes.values():
            reasons = [reason for _, each in self._filters if (reason := each(request, node, view))]
            if reasons:
                rejected.append(Rejection(node=node.name, id=node.id, reasons=tuple(reasons)))
            else:
                candidates.append(node)
        ordered = self._ordered(request, candidates, view)
        rejected.sort(key=lambda each: each.node)
        return Placement(name=request.taker.name, candidates=tuple(ordered), rejected=tuple(rejected))

    def fits(self, request: Request, node: FleetNode, view: FleetView) -> bool:
        """Return whether a node can take a VM."""
        return not any(each(request, node, view) for _, each in self._filters)

    def best(self, request: Request, view: FleetView) -> FleetNode | None:
        """Return the best node; None if there is none. Filters stop at the first reason, so this is faster than `explain`."""
        needed, skipped = needs(request.taker), self._skipped(request)
        candidates = [
            node
            for node in view.nodes.values()
            if all(getattr(node, resource).free >= amount for resource, amount in needed)  # decides most nodes, and is cheap
            and not any(each(request, node, view) for name, each in self._filters if name not in skipped)
        ]
        scores = self._scores(request, candidates, view)
        return max(zip(scores, candidates, strict=True), key=lambda pair: pair[0])[1] if candidates else None

    def all(
        self, requests: Sequence[Request], view: FleetView, *, seconds: float = 10.0
    ) -> tuple[dict[str, FleetNode], list[Request]]:
        """Place several VMs. The view is changed.

        A small batch is placed one VM after the other, in the given order, so that weighers decide. If VMs are left then, or the batch is
        large, they are placed together, so that as many as possible fit.

        Args:
            requests: the VMs.
            view: the fleet.
            seconds: how long the exact model may take, if `highspy` is installed.

        Returns:
            The node of each VM by its id, and the requests without a node.
        """
        first: tuple[dict[str, FleetNode], list[Request]] | None = None
        if len(requests) <= ONE_BY_ONE:
            trial = view.copy()
            first = self._one_by_one(requests, trial)
            if not first[1]:
                view.replace(trial)
                return first
        together = view.copy()
        found = self._together(requests, together, seconds)
        if first is not None and len(first[1]) <= len(found[1]):
            view.replace(trial)
            return first
        view.replace(together)
        return found

    def _together(
        self, requests: Sequence[Request], view: FleetView, seconds: float
    ) -> tuple[dict[str, FleetNode], list[Request]]:
        """Place VMs of "must" affinity rules one by one, the others as one batch."""
        bound = {rule.tag for rule in view.rules if rule.must and rule.kind == "affinity"}
        placed, left = self._one_by_one([each for each in requests if bound & each.taker.tags], view)
        asked = [each for name, each in self._filters if name not in ("capacity", "rules")]

        def allowed(request: Request, node: FleetNode) -> bool:
            return not any(each(request, node, view) for each in asked)

        rest = [each for each in requests if not bound & each.taker.tags]
        nodes, unplaced = place_batch(rest, view, allowed, seconds=seconds)
        view.add_all((each.taker, nodes[each.taker.vm]) for each in rest if each.taker.vm in nodes)
        return placed | {vm: view.nodes[node] for vm, node in nodes.items()}, left + unplaced

    def _one_by_one(self, requests: Sequence[Request], view: FleetView) -> tuple[dict[str, FleetNode], list[Request]]:
        placed, left = {}, []
        for request in requests:
            node = self.best(request, view)
            if node is None:
                left.append(request)
            else:
                view.add(request.taker, node.id)
                placed[request.taker.vm] = node
        return placed, left

    def _skipped(self, request: Request) -> frozenset[str]:
        """Return the built-in filters that have nothing to say about a VM."""
        return frozenset(
            name
            for name, needless in (
                ("capacity", True),
                ("labels", not request.labels),
                ("locked_memory", not request.taker.locked_memory),
            )
            if needless
        )

    def _ordered(self, request: Request, nodes: Sequence[FleetNode], view: FleetView) -> Sequence[Candidate]:
        scores = self._scores(request, nodes, view)
        pairs = sorted(zip(scores, nodes, strict=True), key=lambda pair: pair[0], reverse=True)
        return [
            Candidate(node=node.name, id=node.id, host=node.host, group=node.group, score=round(score[0], 6))
            for score, node in pairs
        ]

    def _scores(self, request: Request, nodes: Sequence[FleetNode], view: FleetView) -> Sequence[tuple[float, int]]:
        """Return the sums of all weighers. Equal nodes are ordered by a hash of VM and node, so that VMs are distributed."""
        totals = [0.0] * len(nodes)
        for weigher, weight in self._weighing(request, nodes):
            if not nodes:
                break
            scores = weigher(request, nodes, view)
            for index, score in enumerate(scaled(scores)):
                totals[index] += weight * score
        ties = [zlib.crc32(f"{request.taker.name} {node.id}".encode()) for node in nodes]
        return list(zip(totals, ties, strict=True))

    def _weighing(self, request: Request, nodes: Sequence[FleetNode]) -> Sequence[tuple[Weigher, float]]:
        strategy = self._strategy(request.group or (nodes[0].group if nodes else None))
        built_in = [(STRATEGIES[strategy] if name == "spread" else each, weight) for name, (each, weight) in WEIGHERS.items()]
        return [*built_in, *self._weighers]


def _reason(found: object) -> str | None:
    """Return why a filter rejects a node, None if it does not."""
    return str(found) if found else None


def _checked_weigher(each: Weigher) -> Weigher:
    weighed = checked("placement weigher", each, lambda found: [float(score) for score in found])

    def weigh(request: Request, nodes: Sequence[FleetNode], view: FleetView) -> Sequence[float]:
        scores = weighed(request, nodes, view)
        if len(scores) != len(nodes):
            name = function_name(each)
            raise PluginError(f"the placement weigher {name!r} returned {len(scores)} scores for {len(nodes)} nodes")
        return scores

    return weigh


__all__ = ["Planner"]
