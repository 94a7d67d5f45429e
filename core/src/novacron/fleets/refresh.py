"""Reads the nodes and VMs of all hosts and stores what has changed. The hypervisor is right; differences are reported."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from novacron.errors import NovaCronError
from novacron.fleets.asking import Askable
from novacron.fleets.limits import effective
from novacron.fleets.reconciling import Reconciler
from novacron.handles.host import HostHandle
from novacron.records.capacity import Drift
from novacron.records.host import Node
from novacron.store.nodes import FoundNode, NodeStore, node_id


class Refreshed(msgspec.Struct, frozen=True):
    """The result of a refresh.

    Attributes:
        nodes: the nodes that answered.
        drifts: differences between the allocations and the hypervisors, which were corrected.
        unreachable: the error of each host that did not answer.
        busy: nodes whose allocations changed each time while they were read. Their allocations were left as they are.
    """

    nodes: tuple[str, ...]
    drifts: tuple[Drift, ...]
    unreachable: Mapping[str, NovaCronError]
    busy: tuple[str, ...] = ()


class Refresh:
    """Reads hosts and stores what they report.

    Args:
        fleet: the fleet.
        nodes: where nodes are stored.
        reconciler: corrects the allocations.
    """

    def __init__(self, fleet: Askable, nodes: NodeStore, reconciler: Reconciler) -> None:
        self._fleet, self._nodes, self._reconciler = fleet, nodes, reconciler

    def of(self, hosts: Iterable[str] | None, timeout: float | str | None) -> Refreshed:
        """Read hosts; all hosts of the fleet if None is given."""
        names = [host.name for host in self._fleet.list()]
        asked = names if hosts is None else [*hosts]
        answers = self._fleet.ask(asked, _report, timeout=timeout)
        reports = {answer.host: answer.value for answer in answers if answer.error is None}
        groups = self._nodes.groups()
        self._store_nodes(reports, lambda group, own: effective(own, groups.get(group or "", {}), groups.get("", {})))
        self._nodes.remove(names)
        unreachable = {answer.host: answer.error for answer in answers if answer.error is not None}
        self._mark_unreachable({*unreachable}, {host: {node.id for node in report} for host, report in reports.items()})
        drifts, busy = self._reconcile(reports, timeout)
        found = sorted({node.id for report in reports.values() for node in report})
        return Refreshed(tuple(found), tuple(drifts), unreachable, tuple(busy))

    def _store_nodes(
        self, reports: Mapping[str, Sequence[FoundNode]], limits: Callable[[str | None, Any], Mapping[str, Any]]
    ) -> None:
        known = {node.id: node for node in self._nodes.list()}
        names: dict[str, set[str]] = {}
        for host, report in reports.items():
            for node in report:
                names.setdefault(node.id, set(known[node.id].hosts if node.id in known else ())).add(host)
        registered = {host.name for host in self._fleet.list()}
        for report in reports.values():
            for node in report:
                hosts = sorted(names[node.id] & registered)
                before = known.get(node.id)
                if before is not None and before.host in hosts:  # it stays reached through the same name
                    hosts.sort(key=lambda name, first=before.host: name != first)  # type: ignore[misc]
                self._nodes.save(node, hosts, limits)

    def _mark_unreachable(self, silent: Collection[str], reported: Mapping[str, Collection[str]]) -> None:
        """Mark the nodes that nobody leads to any more: their hosts do not answer, or have other nodes, as after a replaced machine."""
        for node in self._nodes.list():
            gone = {host for host, ids in reported.items() if node.id not in ids}
            if node.status == "up" and node.hosts and {*node.hosts} <= gone.union(silent):
                self._nodes.change(node.id, only=("up",), status="unreachable")

    def _reconcile(
        self, reports: Mapping[str, Sequence[FoundNode]], timeout: float | str | None
    ) -> tuple[list[Drift], list[str]]:
        """Correct the allocations of all nodes. A node that two names lead to is corrected once."""
        places: dict[str, list[FoundNode]] = {}
        for node in {node.id: node for report in reports.values() for node in report}.values():
            places.setdefault(node.host, []).append(node)
        answers = self._fleet.ask(
            sorted(places), lambda host: self._reconciler.correct(host.invoke, places[host.name]), timeout=timeout
        )
        drifts, busy = [], []
        for answer in answers:
            if answer.error is not None:
                busy += [node.name for node in places[answer.host]]
                continue
            found, waiting = answer.value
            drifts += found
            busy += waiting
        return drifts, busy


def _report(host: HostHandle) -> Sequence[FoundNode]:
    """Ask one host for its nodes and their use. A host whose driver can't list nodes has none here."""
    nodes: Sequence[Node] = host.nodes() if host.supports("node_list") else ()
    stats = host.stats() if len(nodes) == 1 and host.supports("host_stats") else None
    pools = host.invoke("pool_list") if len(nodes) == 1 and host.supports("pool_list") else ()
    storage = sum(pool.capacity_bytes or 0 for pool in pools if pool.active)
    return [
        FoundNode(
            id=node_id(node, host.name),
            name=node.name,
            host=host.name,
            cpus=node.cpus,
            memory=node.memory_bytes,
            storage=storage,
            status=node.status if node.status in ("up", "maintenance") else "unreachable",
            balanced_by=node.balanced_by,
            restarted_by=node.restarted_by,
            cpu_percent=stats.cpu_percent if stats else None,
            memory_used=node.memory_bytes - stats.memory_free_bytes if stats and stats.memory_free_bytes is not None else None,
            storage_used=sum(pool.allocated_bytes or 0 for pool in pools if pool.active) if pools else None,
        )
        for node in nodes
    ]


__all__ = ["Refresh", "Refreshed"]
