"""Where VMs are: what the hosts of the fleet report, which of them do not answer, and what the state database says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from novacron.fleets.asking import Askable
from novacron.records.capacity import Allocation, FleetNode
from novacron.records.vm import VM
from novacron.specs.query import VMQuery
from novacron.store.allocations import AllocationStore
from novacron.store.nodes import NodeStore

LEAST_TIMEOUT = 30.0
"""Seconds that a host has at least to list its VMs."""


class Seen(NamedTuple):
    """What the hosts of the fleet reported.

    Attributes:
        silent: ids of the nodes that did not answer, or were not asked.
        vms: the reported VMs by UUID; each record has the name of its host.
    """

    silent: frozenset[str]
    vms: Mapping[str, Sequence[VM]]


class Places:
    """Finds out where VMs are.

    Args:
        fleet: the fleet.
        nodes: the stored nodes.
        allocations: the allocations.
        timeout: seconds that a host may take to answer.
    """

    def __init__(self, fleet: Askable, nodes: NodeStore, allocations: AllocationStore, timeout: float) -> None:
        self._fleet, self._nodes, self._allocations = fleet, nodes, allocations
        self._timeout = max(LEAST_TIMEOUT, timeout)

    def besides(self, hosts: Collection[str]) -> Seen:
        """Ask all hosts of the fleet but some for their VMs."""
        names = [host.name for host in self._fleet.list() if host.name not in hosts]
        answers = self._fleet.ask(names, lambda host: host.invoke("vm_list", query=VMQuery()), timeout=self._timeout)
        vms: dict[str, list[VM]] = {}
        answered = set()
        for answer in answers:
            if answer.error is None:
                answered.add(answer.host)
                for vm in answer.value:
                    vms.setdefault(vm.id, []).append(vm)
        return Seen(frozenset(node.id for node in self._nodes.list() if not answered & set(node.hosts)), vms)

    def unknown(self, node: FleetNode, seen: Seen) -> Callable[[str], str]:
        """Return a function that says why a VM may run on another node than this one, though no host reports it."""
        nodes = {each.id: each for each in self._nodes.list()}
        held = self._allocations.by_vm()
        return lambda vm: place_unknown((each for each in held.get(vm, ()) if each.node != node.id), seen.silent, nodes)

    def ran_only_on(self, node: FleetNode) -> list[str]:
        """Return the VMs that ran on a node when it was last seen, and that no operation moves to or from another one."""
        return [
            vm
            for vm, found in self._allocations.by_vm().items()
            if [(each.node, each.active, each.pending) for each in found] == [(node.id, True, False)]
        ]


def place_unknown(held: Iterable[Allocation], silent: Collection[str], nodes: Mapping[str, FleetNode]) -> str:
    """Return why a VM may run on another node, though no host reports it; empty if it can't.

    Args:
        held: its allocations on other nodes.
        silent: ids of the nodes that do not answer.
        nodes: the nodes by id.
    """
    for each in held:
        if each.node in silent or each.pending:
            name = nodes[each.node].name if each.node in nodes else each.node
            why = "does not answer" if each.node in silent else "has an operation on it that has not ended"
            return f"it may run on {name}, which {why}"
    return ""


__all__ = ["Places", "Seen", "place_unknown"]
