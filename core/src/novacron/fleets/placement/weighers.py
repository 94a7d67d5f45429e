"""Weighers: each scores all nodes that passed the filters. Plugins add more with the hook `placement_weighers`.

A weigher gets all candidates at once, so it can compare them. Its scores are scaled to 0..1 and multiplied by its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from novacron.fleets.placement.view import FleetView, Request, needs
from novacron.records.capacity import FleetNode, Inventory

BALANCE = 40.0
"""How much more the difference between the shares of memory and vCPUs weighs than the shares themselves, when nodes are packed.

Measured on five mixtures of sizes: VMs that arrive one by one leave 0.9 to 2.9 % of 40 nodes unused, and 0.1 to 4.2 % without this weight.
"""
OPEN_SHARE, OPEN_MOST = 0.05, 4.0
"""Packing chooses from nodes that have so much left together: a share of all nodes, and at most so many."""

Weigher = Callable[[Request, Sequence[FleetNode], FleetView], Sequence[float]]
"""Returns one score for each node; a higher one is better."""


def spread(request: Request, nodes: Sequence[FleetNode], view: FleetView) -> Sequence[float]:
    """Prefer the node whose scarcest resource has the largest share left after the VM is placed."""
    needed = needs(request.taker)
    if not needed:
        return [0.0] * len(nodes)
    return [min([_left(getattr(node, resource), amount) for resource, amount in needed]) for node in nodes]


def pack(request: Request, nodes: Sequence[FleetNode], view: FleetView) -> Sequence[float]:
    """Fill the nodes that are in use, so that other nodes stay free.

    Of those, prefer the node that keeps as much of its memory as of its vCPUs, so that neither is left without the other; then the
    fullest. An unused node is only as good as the others while those with room for the VM have little left together (`OPEN_SHARE`):
    with fewer to choose from, more is wasted.
    """
    needed = needs(request.taker)
    if not needed:
        return [0.0] * len(nodes)
    left = [{resource: _left(getattr(node, resource), amount) for resource, amount in needed} for node in nodes]
    scores = [-sum(each.values()) - BALANCE * abs(each.get("vcpus", 0.0) - each.get("memory", 0.0)) for each in left]
    used = [bool(node.vcpus.allocated or node.memory.allocated or node.storage.allocated) for node in nodes]
    room = sum(min(each.values()) for each, is_used in zip(left, used, strict=True) if is_used)
    if room <= min(OPEN_SHARE * len(view.nodes), OPEN_MOST):
        return scores
    last = min(score for score, is_used in zip(scores, used, strict=True) if is_used) - 1.0
    return [score if is_used else last for score, is_used in zip(scores, used, strict=True)]


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
