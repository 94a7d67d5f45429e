"""Places many VMs at once. VMs that are alike form a class, so a batch of 100,000 VMs is a small problem.

Nodes are filled one after the other: each time with the VM whose needs resemble most what the node has left. A pattern that fills one node
is repeated on all nodes that are the same. If VMs are left, an exact model (`milp`) looks for a better solution within a time limit.
Capacity and all "must" rules hold; "should" rules and weighers are not considered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from novacron.fleets.placement.view import FleetView, Request
from novacron.records.capacity import FleetNode, PlacementRule

RESOURCES = ("vcpus", "memory", "storage")
Size = tuple[int, int, int]
"""vCPUs, bytes of memory, bytes of storage."""


class VMClass:
    """VMs that are alike for placement: the same size, the same allowed nodes, the same rules.

    Args:
        size: what each VM takes.
        requests: the VMs, in order.
        nodes: ids of the nodes that are allowed.
        apart: the anti-affinity rules that hold for these VMs.
    """

    def __init__(self, size: Size, requests: Sequence[Request], nodes: frozenset[str], apart: Sequence[PlacementRule]) -> None:
        self.size, self.requests, self.nodes, self.apart = size, list(requests), nodes, list(apart)

    def __len__(self) -> int:
        return len(self.requests)


class BatchProblem:
    """Classes of VMs, and the nodes with what they have free.

    Args:
        requests: the VMs. VMs with a "must" affinity rule are not supported; place them before, one by one.
        view: the fleet. It is not changed.
        allowed: returns whether a node may take a VM, apart from capacity and rules.
    """

    def __init__(self, requests: Iterable[Request], view: FleetView, allowed: Callable[[Request, FleetNode], bool]) -> None:
        self.view = view
        self.rules = [rule for rule in view.rules if rule.must and rule.kind == "anti-affinity"]
        self.nodes = {node.id: node for node in view.nodes.values() if node.accepts_vms}
        self.free = {name: tuple(getattr(node, each).free for each in RESOURCES) for name, node in self.nodes.items()}
        self.domains = {name: {rule.name: node.domain(rule.scope) for rule in self.rules} for name, node in self.nodes.items()}
        requests = list(requests)
        moving = frozenset(request.taker.vm for request in requests)
        self.occupied = {rule.name: {domain for _, domain in view.members(rule, moving)} for rule in self.rules}
        self.classes = self._classified(requests, allowed)

    def _classified(self, requests: Sequence[Request], allowed: Callable[[Request, FleetNode], bool]) -> list[VMClass]:
        grouped: dict[tuple[object, ...], list[Request]] = {}
        for request in requests:
            grouped.setdefault(self._kind(request), []).append(request)
        found = []
        for same in grouped.values():
            first = same[0]
            apart = [rule for rule in self.rules if rule.tag in first.taker.tags]
            nodes = frozenset(
                name
                for name, node in self.nodes.items()
                if all(self._open(rule, name) for rule in apart) and allowed(first, node)
            )
            amounts = first.taker.amounts
            found.append(VMClass((amounts.vcpus, amounts.memory_bytes, amounts.storage_bytes), same, nodes, apart))
        return found

    def _kind(self, request: Request) -> tuple[object, ...]:
        taker = request.taker
        amounts = (taker.amounts.vcpus, taker.amounts.memory_bytes, taker.amounts.storage_bytes)
        tags = frozenset(rule.tag for rule in self.rules if rule.tag in taker.tags) if self.rules else frozenset()
        return (amounts, tags, taker.locked_memory, request.group, tuple(sorted(request.labels.items())), request.excluded)

    def _open(self, rule: PlacementRule, node: str) -> bool:
        domain = self.domains[node][rule.name]
        return domain is not None and domain not in self.occupied[rule.name]


Counts = dict[str, Counter[int]]
"""For each node the number of VMs of each class, by the index of the class."""


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


def assigned(problem: BatchProblem, counts: Counts) -> tuple[dict[str, str], list[Request]]:
    """Return the node of each VM by the VM's id, and the requests that are left."""
    waiting = [iter(each.requests) for each in problem.classes]
    placed: dict[str, str] = {}
    for name, pattern in counts.items():
        for number, count in pattern.items():
            for _ in range(count):
                placed[next(waiting[number]).taker.vm] = name
    return placed, [request for rest in waiting for request in rest]


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
    from novacron.fleets.placement.milp import solve

    problem = BatchProblem(requests, view, allowed)
    placed, left = assigned(problem, fill(problem))
    if left and seconds > 0 and (counts := solve(problem, seconds)) is not None:
        better, fewer = assigned(problem, counts)
        if len(fewer) < len(left):
            return better, fewer
    return placed, left


__all__ = ["BatchProblem", "Counts", "VMClass", "assigned", "fill", "place_batch"]
