"""The CPU baseline of a group: the best CPU that a VM can have on all nodes, so that it can migrate to each of them."""

from __future__ import annotations

from collections.abc import Sequence

from novacron.errors import InvalidSpecError, NotFoundError, SpecProblem
from novacron.fleets.asking import Askable
from novacron.handles.host import HostHandle
from novacron.records.capacity import FleetNode
from novacron.records.host import CPUBaseline


def baseline_of(fleet: Askable, group: str, nodes: Sequence[FleetNode], timeout: float | str | None) -> CPUBaseline:
    """Return the CPU baseline of a group.

    Args:
        fleet: the fleet.
        group: the group's name.
        nodes: the nodes of the group. Of a host with several nodes, such as a vCenter, all nodes count.
        timeout: seconds that each host may take.

    Raises:
        NotFoundError: there are no nodes.
        InvalidSpecError: the hosts have different drivers.
        NovaCronError: a host does not answer. A baseline without it could be too high.
    """
    if not nodes:
        raise NotFoundError(f"no node belongs to a group {group!r}", resource=group, hint="`novacron fleet groups` shows them")
    names = list(dict.fromkeys(node.host for node in nodes))
    answers = fleet.ask(names, _own, timeout=timeout)
    for answer in answers:
        if answer.error is not None:
            raise answer.error
    drivers = sorted({answer.value[0] for answer in answers})
    if len(drivers) > 1:
        problem = SpecProblem("group", group, f"hosts of one driver; it has {' and '.join(drivers)}")
        raise InvalidSpecError("no CPU baseline of hosts with different drivers", problems=[problem])
    own = [answer.value[1] for answer in answers]
    places = tuple(sorted({node for each in own for node in each.nodes}))
    found: CPUBaseline = own[0]
    if len(own) > 1:
        found = fleet.hosts[names[0]].cpu_baseline([each.description for each in own[1:]])
    result: CPUBaseline = found.replace(nodes=places)
    return result


def _own(host: HostHandle) -> tuple[str, CPUBaseline]:
    return host.driver_name, host.cpu_baseline()


__all__ = ["baseline_of"]
