"""Makes the allocations of nodes what their hypervisors report, and ends the claims of interrupted operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from novacron.errors import NovaCronError
from novacron.fleets.demand import taker_of
from novacron.records.capacity import Drift
from novacron.specs.query import VMQuery
from novacron.store.allocations import AllocationStore

TRIES = 3
"""How often a host is read again because allocations changed while it was read."""
SETTLE_SECONDS = 10.0
"""How long the hypervisor may take to end an operation whose process is dead."""


class Identified(Protocol):
    """A node: its id, and the name that its hypervisor gives it."""

    @property
    def id(self) -> str:
        """Its UUID."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...


class Reconciler:
    """Corrects allocations.

    Args:
        allocations: where allocations are stored.
        alive: returns the ids of the live processes of the state database.
    """

    def __init__(self, allocations: AllocationStore, alive: Callable[[], Iterable[str]]) -> None:
        self._allocations, self._alive = allocations, alive

    def correct(self, invoke: Callable[..., Any], nodes: Sequence[Identified]) -> tuple[list[Drift], list[str]]:
        """Read the VMs of a host and correct the allocations of its nodes.

        The VMs are read after the number of changes, so that a change in between is noticed; then they are read again.

        Args:
            invoke: calls an operation of the host.
            nodes: all nodes of the host.

        Returns:
            The differences, and the names of nodes whose allocations changed each time.
        """
        drifts: list[Drift] = []
        left = list(nodes)
        alive = set(self._alive())
        for node in nodes:
            self._settle(invoke, self._allocations.interrupted(node.id, alive))
        for _ in range(TRIES):
            generations = {node.id: self._allocations.generation(node.id) for node in left}
            vms = invoke("vm_list", query=VMQuery(detail="full"))
            waiting = []
            for node in left:
                truth = {vm.id: taker_of(vm) for vm in vms if len(nodes) == 1 or vm.node == node.name}
                changes = self._allocations.replace(node.id, generations[node.id], truth, alive)
                if changes is None:
                    waiting.append(node)
                else:
                    drifts += [Drift(vm=vm, name=name, node=node.name, what=what) for vm, name, what in changes]
            left = waiting
            if not left:
                break
        return drifts, [node.name for node in left]

    def _settle(self, invoke: Callable[..., Any], vms: Iterable[str]) -> None:
        """Wait until the hypervisor has ended the operations that dead processes left."""
        for vm in vms:
            try:
                invoke("vm_settle", vm=vm, seconds=SETTLE_SECONDS)
            except NovaCronError:
                continue  # it does not exist, or its driver can't tell; what the host reports next is what counts


__all__ = ["Reconciler"]
