"""A source of metrics: how much of the fleet's capacity is allocated, by owner, tag and host. Its history is the accounting."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from novacron.monitoring import builtin
from novacron.records.capacity import Allocation, FleetNode
from novacron.records.series import MetricDefinition, Sample

EVERY = 300.0
"""Seconds between two readings of the allocations."""


class UsageSource:
    """Sums up the allocations of all nodes of the fleet every five minutes.

    Args:
        nodes: returns the nodes as they are stored.
        allocations: returns the allocations of all nodes.
    """

    name = "usage"

    def __init__(self, nodes: Callable[[], Sequence[FleetNode]], allocations: Callable[[], Sequence[Allocation]]) -> None:
        self._nodes, self._allocations = nodes, allocations
        self._found: list[Sample] = []
        self._next = 0.0

    def definitions(self) -> Sequence[MetricDefinition]:
        """Return nothing: the metrics are built-in ones."""
        return ()

    def collect(self) -> Sequence[Sample]:
        """Return the sums, as they were read last."""
        if time.monotonic() >= self._next:
            self._found = samples(self._nodes(), self._allocations())
            self._next = time.monotonic() + EVERY
        return self._found


def samples(nodes: Sequence[FleetNode], allocations: Sequence[Allocation]) -> list[Sample]:
    """Return the sums of allocations by owner, tag and host. Stopped VMs use storage only.

    Example:
        >>> from novacron.records.capacity import Amounts
        >>> one = Allocation(vm="1", name="web1", node="n", amounts=Amounts(vcpus=2), owner="ann")
        >>> [(s.metric, s.value) for s in samples((), [one]) if s.labels["subject"] == "ann"][:2]
        [('novacron_usage_vms', 1.0), ('novacron_usage_vcpus', 2.0)]
    """
    hosts = {node.id: node.name for node in nodes}
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(builtin.USAGE))
    for one in allocations:
        used = (1, one.amounts.vcpus * one.active, one.amounts.memory_bytes * one.active, one.amounts.storage_bytes)
        subjects = [("owner", one.owner), ("host", hosts.get(one.node, one.node)), *(("tag", tag) for tag in one.tags)]
        for subject in subjects:
            sums[subject] = [sum(pair) for pair in zip(sums[subject], used, strict=True)]
    return [
        Sample(metric=definition.name, value=float(value), labels={"by": by, "subject": subject})
        for (by, subject), values in sorted(sums.items())
        for definition, value in zip(builtin.USAGE.values(), values, strict=True)
    ]


__all__ = ["UsageSource", "samples"]
