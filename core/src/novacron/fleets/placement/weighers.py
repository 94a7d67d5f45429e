"""Weighers: each scores all nodes that passed the filters. Plugins add more with the hook `placement_weighers`.

A weigher gets all candidates at once, so it can compare them. Its scores are scaled to 0..1 and multiplied by its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from novacron.fleets.placement.view import FleetView, Request, needs
from novacron.records.capacity import FleetNode, Inventory

Weigher = Callable[[Request, Sequence[FleetNode], FleetView], Sequence[float]]
"""Returns one score for each node; a higher one is better."""


def spread(request: Request, nodes: Sequence[FleetNode], view: FleetView) -> Sequence[float]:
    """Prefer the node whose scarcest resource has the largest share left after the VM is placed."""
    needed = needs(request.taker)
    if not needed:
        return [0.0] * len(nodes)
    return [min([_left(getattr(node, resource), amount) for resource, amount in needed]) for node in nodes]


def pack(request: Request, nodes: Sequence[FleetNode], view: FleetView) -> Sequence[float]:
    """Prefer the fullest node, so that other nodes stay free."""
    return [-score for score in spread(request, nodes, view)]


def usage(request: Request, nodes: Sequence[FleetNode], view: FleetView) -> Sequence[float]:
    """Prefer the node whose CPUs are least used, as measured by the last refresh."""
    return [-(node.cpu_percent or 0.0) for node in nodes]


def preferences(request: Request, nodes: Sequence[FleetNode], view: FleetView) -> Sequence[float]:
    """Prefer nodes that break fewer "should" rules."""
    asked = [rule for rule in view.rules if not rule.must and rule.tag in request.taker.tags]
    if not asked:
        return [0.0] * len(nodes)
    members = [[domain for _, domain in view.members(rule, {request.taker.vm, *request.together})] for rule in asked]
    return [
        -float(sum(rule.broken_by(node.domain(rule.scope), others) for rule, others in zip(asked, members, strict=True)))
        for node in nodes
    ]


WEIGHERS: Mapping[str, tuple[Weigher, float]] = {
    "preferences": (preferences, 10.0),
    "spread": (spread, 1.0),
    "usage": (usage, 0.2),
}
"""The built-in weighers with their weights, for the strategy "spread"."""
STRATEGIES: Mapping[str, Weigher] = {"spread": spread, "pack": pack}
"""The weigher that replaces "spread" for each strategy of a group."""


def scaled(scores: Sequence[float]) -> Sequence[float]:
    """Return scores from 0 for the worst to 1 for the best; all 0 if they are equal.

    Example:
        >>> scaled([2.0, 4.0, 3.0]), scaled([5.0, 5.0])
        ([0.0, 1.0, 0.5], [0.0, 0.0])
    """
    lowest, highest = min(scores), max(scores)
    if highest - lowest < 1e-12:
        return [0.0] * len(scores)
    return [(score - lowest) / (highest - lowest) for score in scores]


def _left(inventory: Inventory, amount: int) -> float:
    limit = inventory.limit
    return 1.0 if limit == float("inf") or limit <= 0 else (limit - inventory.allocated - amount) / limit


__all__ = ["STRATEGIES", "WEIGHERS", "Weigher", "scaled"]
