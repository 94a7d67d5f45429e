"""The report of the fleet's capacity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from novacron.fleets.admission import failures_of
from novacron.fleets.groups import settings_of
from novacron.records.capacity import CapacityReport, FailureReport, FleetNode, GroupCapacity, Inventory
from novacron.records.failover import Protection
from novacron.store.nodes import NodeStore

if TYPE_CHECKING:
    from novacron.fleets.placement.placer import Placer


def report_of(
    nodes: Sequence[FleetNode],
    failures: Callable[[str, Sequence[FleetNode]], Sequence[FailureReport]],
    protection: Sequence[Protection],
) -> CapacityReport:
    """Return the capacity by group and by node. Nodes without a group are summed up under no name.

    Args:
        nodes: all nodes.
        failures: returns the failures of a group after which VMs can't restart.
        protection: the protection of all VMs.
    """
    names = sorted({node.group or "" for node in nodes})
    members = {name: [node for node in nodes if (node.group or "") == name] for name in names}
    groups = [_group(name or None, members[name], failures(name, members[name]) if name else ()) for name in names]
    return CapacityReport(groups=tuple(groups), nodes=tuple(nodes), protection=tuple(protection))


def failures_in(store: NodeStore, placer: Placer, group: str, nodes: Sequence[FleetNode]) -> Sequence[FailureReport]:
    """Return the failures of a group after which VMs can't restart, as its settings say.

    Args:
        store: where the settings are stored.
        placer: knows the rules and the allocations.
        group: the group's name.
        nodes: its nodes.
    """
    settings = settings_of(store, group)
    if not settings.failures:
        return ()
    domain, rules = settings.failure_domain or "host", placer.view().rules
    return failures_of(nodes, rules, placer.allocations(), failures=settings.failures, domain=domain)


def _group(name: str | None, nodes: Sequence[FleetNode], failures: Sequence[FailureReport]) -> GroupCapacity:
    usable = [node for node in nodes if node.accepts_vms]
    return GroupCapacity(
        name=name,
        nodes=len(nodes),
        usable_nodes=len(usable),
        vcpus=_sum([node.vcpus for node in usable]),
        memory=_sum([node.memory for node in usable]),
        storage=_sum([node.storage for node in usable]),
        failures=tuple(failures),
    )


def _sum(inventories: Sequence[Inventory]) -> Inventory:
    """Return the sum of inventories. Its ratio is the one that gives the sum of their limits."""
    total, reserved = sum(i.total for i in inventories), sum(i.reserved for i in inventories)
    limits = [inventory.limit for inventory in inventories]
    unlimited = not limits or float("inf") in limits
    used = [inventory.used for inventory in inventories if inventory.used is not None]
    return Inventory(
        total=total,
        reserved=reserved,
        ratio=None if unlimited or total <= reserved else sum(limits) / (total - reserved),
        allocated=sum(inventory.allocated for inventory in inventories),
        used=sum(used) if used else None,
    )


__all__ = ["failures_in", "report_of"]
