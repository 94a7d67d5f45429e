"""Admission control: can all VMs restart when nodes fail? Each failure is simulated, with all "must" rules.

The VMs of the failed nodes are placed on the nodes that are left, where other VMs stay as they are. A fast heuristic tries it first.
If that fails, a search tries all ways, up to a limit, so that the answer is exact for small groups. Without an answer within the limit
the VMs count as not restartable.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from novacron.records.capacity import Allocation, FailureReport, FleetNode, PlacementRule

SEARCHED = 20_000
"""How many placements the search tries for one failure."""


class _Node:
    """A node that is left: what is free, and its domain for each rule."""

    __slots__ = ("domains", "locks_memory", "memory", "vcpus")

    def __init__(self, node: FleetNode, rules: Sequence[PlacementRule]) -> None:
        self.vcpus, self.memory = node.vcpus.free, node.memory.free
        self.domains = [node.domain(rule.scope) for rule in rules]
        self.locks_memory = node.memory.ratio is not None and node.memory.ratio <= 1

    def state(self) -> tuple[object, ...]:
        """Nodes with the same state are the same for a VM."""
        return (self.vcpus, self.memory, self.locks_memory, *self.domains)


class _VM:
    """A VM that has to restart."""

    __slots__ = ("locked", "memory", "name", "rules", "vcpus")

    def __init__(self, allocation: Allocation, rules: Sequence[PlacementRule]) -> None:
        self.name = allocation.name
        self.vcpus, self.memory = allocation.amounts.vcpus, allocation.amounts.memory_bytes
        self.locked = bool(allocation.locked_memory)
        self.rules = [number for number, rule in enumerate(rules) if rule.tag in allocation.tags]


class _Failure:
    """The group after a failure.

    Args:
        nodes: the nodes that are left and take VMs.
        rules: the "must" rules.
        occupied: the domains of the surviving VMs of each rule.
    """

    def __init__(self, nodes: Iterable[FleetNode], rules: Sequence[PlacementRule], occupied: Sequence[list[str | None]]) -> None:
        self._nodes = [_Node(node, rules) for node in nodes]
        self._rules, self._occupied = rules, [[*domains] for domains in occupied]
        self._left = SEARCHED

    def unplaced(self, vms: Sequence[_VM]) -> list[str]:
        """Return the names of VMs that can't restart; empty if all can."""
        ordered = sorted(vms, key=lambda vm: (-len(vm.rules), -vm.memory, -vm.vcpus, vm.name))
        left = self._greedy(ordered)
        if left and self._search(ordered, 0):
            return []
        return left

    def _greedy(self, vms: Sequence[_VM]) -> list[str]:
        """Place each VM on the node with the least memory left over; return the names of those that do not fit."""
        placed: list[tuple[_VM, _Node]] = []
        left = []
        for vm in vms:
            fitting = [node for node in self._nodes if self._fits(vm, node)]
            if not fitting:
                left.append(vm.name)
                continue
            node = min(fitting, key=lambda each: (each.memory - vm.memory, each.vcpus))
            self._put(vm, node)
            placed.append((vm, node))
        for vm, node in reversed(placed):
            self._take(vm, node)
        return sorted(left)

    def _search(self, vms: Sequence[_VM], number: int) -> bool:
        if number == len(vms):
            return True
        vm, tried = vms[number], set()
        for node in self._nodes:
            state = node.state()
            if state in tried or not self._fits(vm, node):
                continue
            tried.add(state)
            self._left -= 1
            if self._left < 0:
                return False
            self._put(vm, node)
            found = self._search(vms, number + 1)
            self._take(vm, node)
            if found:
                return True
        return False

    def _fits(self, vm: _VM, node: _Node) -> bool:
        if vm.vcpus > node.vcpus or vm.memory > node.memory or (vm.locked and not node.locks_memory):
            return False
        return not any(self._rules[rule].broken_by(node.domains[rule], self._occupied[rule]) for rule in vm.rules)

    def _put(self, vm: _VM, node: _Node) -> None:
        node.vcpus -= vm.vcpus
        node.memory -= vm.memory
        for rule in vm.rules:
            self._occupied[rule].append(node.domains[rule])

    def _take(self, vm: _VM, node: _Node) -> None:
        node.vcpus += vm.vcpus
        node.memory += vm.memory
        for rule in vm.rules:
            self._occupied[rule].remove(node.domains[rule])


def failures_of(
    nodes: Sequence[FleetNode],
    rules: Iterable[PlacementRule],
    allocations: Iterable[Allocation],
    *,
    failures: int = 1,
    domain: str = "host",
) -> list[FailureReport]:
    """Simulate each failure of a group and return those after which VMs can't restart.

    Args:
        nodes: all nodes of the group.
        rules: the placement rules; only "must" rules count.
        allocations: the allocations of all nodes.
        failures: how many domains fail at a time.
        domain: "host", or the label of nodes that fail together, such as "rack". Nodes without the label fail alone.
    """
    must = [rule for rule in rules if rule.must]
    by_node: dict[str, list[Allocation]] = {}
    for each in allocations:
        by_node.setdefault(each.node, []).append(each)
    domains: dict[str, list[FleetNode]] = {}
    for node in nodes:
        domains.setdefault(node.domain(domain) or node.id, []).append(node)
    found = []
    for failing in itertools.combinations(sorted(domains), min(failures, len(domains))):
        gone = {node.id: node for name in failing for node in domains[name]}
        vms = [_VM(each, must) for node in gone for each in by_node.get(node, ()) if each.active]
        rest = [node for node in nodes if node.id not in gone]
        failure = _Failure([node for node in rest if node.accepts_vms], must, _occupied(must, rest, by_node))
        if names := failure.unplaced(vms):
            shown = tuple(sorted(node.name for node in gone.values()))
            found.append(FailureReport(domains=failing, nodes=shown, vms=tuple(names)))
    return found


def _occupied(
    rules: Sequence[PlacementRule], nodes: Sequence[FleetNode], by_node: Mapping[str, Sequence[Allocation]]
) -> list[list[str | None]]:
    return [list(_domains(rule, nodes, by_node)) for rule in rules]


def _domains(
    rule: PlacementRule, nodes: Sequence[FleetNode], by_node: Mapping[str, Sequence[Allocation]]
) -> Iterator[str | None]:
    for node in nodes:
        for each in by_node.get(node.id, ()):
            if rule.tag in each.tags:
                yield node.domain(rule.scope)


__all__ = ["failures_of"]
