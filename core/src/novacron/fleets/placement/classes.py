"""A batch of placements as a small problem: VMs that are alike form a class, so 100,000 VMs are a few dozen classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

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


def assigned(problem: BatchProblem, counts: Counts) -> tuple[dict[str, str], list[Request]]:
    """Return the node of each VM by the VM's id, and the requests that are left."""
    waiting = [iter(each.requests) for each in problem.classes]
    placed: dict[str, str] = {}
    for name, pattern in counts.items():
        for number, count in pattern.items():
            for _ in range(count):
                placed[next(waiting[number]).taker.vm] = name
    return placed, [request for rest in waiting for request in rest]


__all__ = ["BatchProblem", "Counts", "RESOURCES", "VMClass", "assigned"]
