"""Filters: each says why a node can't take a VM, or nothing. Plugins add more with the hook `placement_filters`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from novacron.fleets.placement.view import FleetView, Request, needs
from novacron.records.capacity import FleetNode
from novacron.store.rules import broken_text
from novacron.units import format_size

Filter = Callable[[Request, FleetNode, FleetView], str | None]
"""Returns the reason why the node can't take the VM; None if it can."""


def group(request: Request, node: FleetNode, view: FleetView) -> str | None:
    """The node belongs to the wanted group, and its capacity is managed."""
    if node.group is None:
        return "it belongs to no group"
    if request.group is not None and node.group != request.group:
        return f"it belongs to the group {node.group}"
    return None


def status(request: Request, node: FleetNode, view: FleetView) -> str | None:
    """The node takes VMs."""
    if node.id in request.excluded:
        return "it is excluded"
    if node.status != "up":
        return f"it is {node.status}"
    if node.cordoned:
        return "it is cordoned" + (f" ({node.reason})" if node.reason else "")
    return None


def capacity(request: Request, node: FleetNode, view: FleetView) -> str | None:
    """The node has enough vCPUs, memory and storage."""
    missing = []
    for resource, amount in needs(request.taker):
        free = getattr(node, resource).free
        if amount > free:
            shown: Callable[[float], str] = (lambda n: f"{n:g} vCPUs") if resource == "vcpus" else (lambda n: format_size(int(n)))
            what = "" if resource == "vcpus" else f" of {resource}"
            missing.append(f"{shown(amount)}{what} wanted, {shown(free)} free")
    return "; ".join(missing) or None


def labels(request: Request, node: FleetNode, view: FleetView) -> str | None:
    """The node has the wanted labels."""
    wrong = [f"{name}={value}" for name, value in request.labels.items() if node.labels.get(name) != value]
    return f"it does not have the label {', '.join(wrong)}" if wrong else None


def locked_memory(request: Request, node: FleetNode, view: FleetView) -> str | None:
    """Memory that can't be overcommitted is placed only where memory is not overcommitted."""
    reasons = request.taker.locked_memory
    if reasons and (node.memory.ratio is None or node.memory.ratio > 1):
        return f"its memory is overcommitted, and the VM has {', '.join(reasons)}"
    return None


def rules(request: Request, node: FleetNode, view: FleetView) -> str | None:
    """No "must" rule is broken."""
    for rule in view.rules:
        if rule.must and rule.tag in request.taker.tags:
            others = view.members(rule, {request.taker.vm, *request.together})
            domain = node.domain(rule.scope)
            if rule.broken_by(domain, [place for _, place in others]):
                return broken_text(rule, node.name, domain, [name for name, _ in others])
    return None


FILTERS: Mapping[str, Filter] = {
    "status": status,
    "group": group,
    "capacity": capacity,
    "labels": labels,
    "locked_memory": locked_memory,
    "rules": rules,
}
"""The built-in filters, in the order in which they are asked: the cheap ones first."""

__all__ = ["FILTERS", "Filter"]
