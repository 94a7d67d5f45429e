"""Balancers propose the migrations of a group. "deviation" is built in; plugins add others with the hook `balancers`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

import msgspec

from novacron.errors import InvalidSpecError, SpecProblem, either
from novacron.fleets.placement.view import FleetView
from novacron.plugins.functions import checked
from novacron.plugins.names import by_name, refuse_claimed
from novacron.records.capacity import Allocation, FleetNode

DEVIATION = "deviation"
"""The built-in balancer, `novacron.fleets.balancing.BalancePlanner`."""


class BalancedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The group that a balancer proposes migrations for.

    Attributes:
        nodes: the nodes that take part: they accept VMs, and the use of their CPUs was measured.
        vms: the running VMs that may move. VMs that were moved a short time ago are left out.
        cpus: how many CPUs each VM uses, by its id: as measured, otherwise estimated.
        view: a copy of all nodes and rules. The balancer may change it.
    """

    nodes: tuple[FleetNode, ...]
    vms: tuple[Allocation, ...]
    cpus: Mapping[str, float]
    view: FleetView


PluginBalancer = Callable[[BalancedGroup], Iterable[tuple[str, str]]]
"""Proposes migrations: the id of a VM and the id of the node that it moves to."""


def balancer_named(hooks: Any, name: str | None) -> PluginBalancer | None:
    """Return the balancer of a plugin; None for the built-in one.

    Args:
        hooks: the hooks of the plugins.
        name: the name of the balancer; None for the default.

    Raises:
        InvalidSpecError: no plugin has a balancer of that name.
        PluginError: several plugins claim the name; it names them.
    """
    if name in (None, DEVIATION):
        return None
    provided: list[PluginBalancer] = [
        each for some in hooks.balancers() for each in some if getattr(each, "__name__", "") != DEVIATION
    ]
    given = by_name("balancer", provided, name_of=attrgetter("__name__"))
    if name not in given:
        refuse_claimed("balancer", str(name), hooks.balancers, name_of=attrgetter("__name__"))
        problem = SpecProblem("balancer", str(name), either(sorted({DEVIATION, *given})))
        raise InvalidSpecError("unknown balancer", problems=[problem])
    return given[name]


def proposals(balancer: PluginBalancer, group: BalancedGroup) -> list[tuple[str, str]]:
    """Return what a plugin's balancer proposes. Raises PluginError if it fails."""
    return checked("balancer", balancer, lambda found: [(str(vm), str(node)) for vm, node in found])(group)


__all__ = ["DEVIATION", "BalancedGroup", "PluginBalancer", "balancer_named", "proposals"]
