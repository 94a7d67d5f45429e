"""Places many VMs at once. VMs that are alike form a class, so a batch of 100,000 VMs is a small problem.

Nodes are filled one after the other: each time with the VM whose needs resemble most what the node has left. A pattern that fills one node
is repeated on all nodes that are the same. If VMs are left, an exact model (`milp`) looks for a better solution within a time limit.
Capacity and all "must" rules hold; "should" rules and weighers are not considered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from novacron.fleets.placement.classes import RESOURCES, BatchProblem, Counts, assigned
from novacron.fleets.placement.milp import solve
from novacron.fleets.placement.view import FleetView, Request
from novacron.records.capacity import FleetNode


def fill(problem: BatchProblem) -> Counts:
    """Fill the nodes one after the other, the largest first; return what each takes."""
    left = [len(each) for each in problem.classes]
    taken = {rule.name: set[str | None]() for rule in problem.rules}
    found: Counts = {}
    patterns: dict[object, Counter[int]] = {}
    demand = _demand(problem, left)
    order = sorted(problem.nodes, key=lambda name: -_score(_finite(problem.free[name]), demand))
    for name in order:
        if not any(left):
            break
        kind = (problem.free[name], tuple(name in each.nodes for each in problem.classes))
        pattern = patterns.get(kind)
        if pattern is None or problem.rules or any(left[number] < count for number, count in pattern.items()):
            pattern = patterns[kind] = _fill_one(problem, name, left, taken, _demand(problem, left))
        for number, count in pattern.items():
            left[number] -= count
        found[name] = pattern
    return found


def _fill_one(
    problem: BatchProblem, name: str, left: Sequence[int], taken: Mapping[str, set[str | None]], demand: Sequence[float]
) -> Counter[int]:
    free, pattern = list(problem.free[name]), Counter[int]()
    candidates = [number for number, each in enumerate(problem.classes) if left[number] and name in each.nodes]
    while True:
        best, best_score = -1, 0.0
        room = [amount * weight for amount, weight in zip(_finite(free), demand, strict=True)]
        for number in candidates:
            each = problem.classes[number]
            if pattern[number] >= left[number] or not all(need <= have for need, have in zip(each.size, free, strict=True)):
                continue
            if any(problem.domains[name][rule.name] in taken[rule.name] for rule in each.apart):
                continue
            needs = [need * weight for need, weight in zip(each.size, demand, strict=True)]
            score = _likeness(needs, room) + (1.0 if each.apart else 0.0)
            if score > best_score:
                best, best_score = number, score
        if best < 0:
            return +pattern
        chosen = problem.classes[best]
        pattern[best] += 1
        free = [have - need for have, need in zip(free, chosen.size, strict=True)]
        for rule in chosen.apart:
            taken[rule.name].add(problem.domains[name][rule.name])


def _demand(problem: BatchProblem, left: Sequence[int]) -> list[float]:
    """Return a weight for each resource: the inverse of what is free in all, times what is still needed. Scarce ones weigh more."""
    weights = []
    for index in range(len(RESOURCES)):
        free = sum(amounts[index] for amounts in problem.free.values())
        needed = sum(each.size[index] * count for each, count in zip(problem.classes, left, strict=True))
        weights.append(0.0 if free in (0, float("inf")) else needed / free / free)
    return weights


def _likeness(needs: Sequence[float], room: Sequence[float]) -> float:
    """Return how well the needs of a VM fit to what a node has left: large VMs of the same shape first.

    The exponents were measured: on 10,000 VMs that need both resources it uses 0 to 0.9 % more nodes than the bound, and the plain product
    of both vectors up to 1.3 % more.
    """
    size = sum(x * x for x in needs) ** 0.5
    space = sum(x * x for x in room) ** 0.5
    if not size or not space:
        return 1e-9
    cosine = sum(x * y for x, y in zip(needs, room, strict=True)) / size / space
    return float(cosine**2 * (size / space) ** 0.5)


def _score(amounts: Sequence[float], weights: Sequence[float]) -> float:
    return sum(amount * weight for amount, weight in zip(amounts, weights, strict=True))


def _finite(amounts: Sequence[float]) -> list[float]:
    return [0.0 if amount == float("inf") else amount for amount in amounts]


def place_batch(
    requests: Sequence[Request], view: FleetView, allowed: Callable[[Request, FleetNode], bool], *, seconds: float = 10.0
) -> tuple[dict[str, str], list[Request]]:
    """Place VMs so that as many as possible fit, on few nodes.

    Args:
        requests: the VMs, none with a "must" affinity rule.
        view: the fleet. It is not changed.
        allowed: returns whether a node may take a VM, apart from capacity and rules.
        seconds: how long the exact model may take if the heuristic leaves VMs.

    Returns:
        The node of each VM by the VM's id, and the requests without a node.
    """
    problem = BatchProblem(requests, view, allowed)
    placed, left = assigned(problem, fill(problem))
    if left and seconds > 0 and (counts := solve(problem, seconds)) is not None:
        better, fewer = assigned(problem, counts)
        if len(fewer) < len(left):
            return better, fewer
    return placed, left


__all__ = ["fill", "place_batch"]
