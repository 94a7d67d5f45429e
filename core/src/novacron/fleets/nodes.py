"""The nodes of the fleet: `fleet.nodes["kvm1"]`, `fleet.nodes.set("kvm1", group="prod")`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, InvalidStateError, NodeNotFoundError, SpecProblem, either
from novacron.fleets.limits import effective
from novacron.handles.collection import Collection
from novacron.records.capacity import FleetNode
from novacron.store.nodes import NodeStore

if TYPE_CHECKING:
    from novacron.fleets.refresh import Refresh, Refreshed

Recorded = Callable[[str, str, dict[str, Any]], Any]
"""Returns a context manager that writes an audit line: operation, name of the resource, arguments."""


def refuse_balanced(nodes: Iterable[FleetNode], hint: str) -> None:
    """Refuse to move the VMs of nodes between which something else moves VMs by itself.

    Args:
        nodes: the nodes.
        hint: what to do instead.

    Raises:
        InvalidStateError: it names what balances the nodes.
    """
    found = sorted(f"{node.name}: {node.balanced_by}" for node in nodes if node.balanced_by)
    if found:
        raise InvalidStateError(
            f"VMs of these nodes are moved by something else: {', '.join(found)}",
            resource=found[0].partition(":")[0],
            outcome="not_sent",
            hint=hint,
        )


class NodeCollection(Collection[FleetNode]):
    """The nodes, as they are stored. `refresh` reads them from the hypervisors.

    Args:
        store: where nodes are stored.
        refresh: reads the hosts.
        recorded: writes audit lines.

    Example:
        >>> import novacron
        >>> fleet = novacron.fleet()
        >>> _ = fleet.add("nodes-a", "sim://nodes-a?vms=3")
        >>> refreshed = fleet.nodes.refresh()
        >>> node = fleet.nodes["nodes-a"]
        >>> node.vcpus.total, node.status, node.group
        (64, 'up', None)
        >>> fleet.nodes.set("nodes-a", group="lab", labels={"rack": "r1"}, memory_reserved="4GiB").memory.reserved
        4294967296
        >>> fleet.remove("nodes-a")
    """

    def __init__(self, store: NodeStore, refresh: Callable[[], Refresh], recorded: Recorded) -> None:
        self._store, self._refresh, self._recorded = store, refresh, recorded

    _title = "nodes"

    def _all(self) -> Sequence[FleetNode]:
        return self.list()

    def _find(self, name: str) -> FleetNode:
        """Return a node by its name, its UUID, or the name of a host that has one node.

        Raises:
            NodeNotFoundError: there is none.
            InvalidSpecError: several nodes have the name; their UUIDs are in the error.
        """
        everything = self.list()
        found = [node for node in everything if node.id == name] or [
            node for node in everything if name == node.name or name in node.hosts
        ]
        if len(found) == 1:
            return found[0]
        if found:
            problem = SpecProblem("node", name, either([f"{node.name} ({node.id})" for node in found]))
            raise InvalidSpecError(f"several nodes are named {name!r}", problems=[problem], resource=name)
        raise NodeNotFoundError(f"no node named {name!r} in the fleet", resource=name)

    def list(self, *, group: str | None = None) -> Sequence[FleetNode]:
        """Return the stored nodes, sorted by name. Nothing is contacted.

        Args:
            group: only the nodes of this group.
        """
        return [node for node in self._store.list() if group is None or node.group == group]

    def refresh(self, hosts: Iterable[str] | None = None, *, timeout: float | str | None = 30.0) -> Refreshed:
        """Read nodes and VMs from the hypervisors and store them. New nodes are added; nodes of removed hosts are removed.

        Args:
            hosts: names of hosts in the fleet; None for all.
            timeout: seconds that each host may take.

        Returns:
            The differences that were found and corrected, and the hosts that did not answer. Their nodes become "unreachable".
        """
        return self._refresh().of(hosts, timeout)

    def set(
        self, name: str, *, group: str | None = None, labels: Mapping[str, str | None] | None = None, **limits: Any
    ) -> FleetNode:
        """Change the group, labels and limits of a node. What is not given stays as it is.

        Args:
            name: the node's name or UUID.
            group: the group that the node joins; "" takes it out of its group, so that its capacity is no longer managed.
            labels: labels to set, such as {"rack": "r1"}; None as a value removes one.
            limits: fields of `LimitSettings`; None inherits from the group.

        Raises:
            NodeNotFoundError: there is no such node.
            HostConnectionError, OperationTimeoutError: a node that gets its first group does not answer, so that its VMs are not known.
            InvalidSpecError: a value is invalid, a limit is below what is allocated, or memory would be overcommitted although a VM of
                the node has huge pages, locked memory or devices of the host. Nothing is changed then.
        """
        node = self[name]
        if group and node.group is None:
            for error in self.refresh([node.host]).unreachable.values():  # from now on its VMs count
                raise error
        shown = {"group": group, "labels": labels, **limits}
        with (
            self._recorded("node_set", node.name, {key: value for key, value in shown.items() if value is not None}),
            self._store.changing(),
        ):
            changes = self._changes(self[node.id], group, labels, limits)
            refuse_limits(self._store.limit({node.id: changes}, {}), {node.id: node.name})
        return self[node.id]

    def _changes(
        self, node: FleetNode, group: str | None, labels: Mapping[str, str | None] | None, limits: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the columns of a node that `set` changes."""
        from novacron.specs.capacity import LimitSettings

        changes: dict[str, Any] = {}
        if group is not None:
            changes["group_name"] = checked_name("group", group) if group else None
        if labels is not None:
            changes["labels"] = _labelled(node.labels, labels)
        own = self._store.settings(node.id)
        if limits:
            LimitSettings.parse(limits)
            own = LimitSettings.parse({**own, **limits}).as_dict()
            changes["settings"] = own
        groups = self._store.groups()
        joined = changes.get("group_name", node.group)
        return changes | effective(own, groups.get(joined or "", {}), groups.get("", {}))

    def cordon(self, name: str, reason: str = "") -> FleetNode:
        """Place no further VMs on a node. Its VMs keep running."""
        node = self[name]
        with self._recorded("node_cordon", node.name, {"reason": reason}):
            self._store.change(node.id, cordoned=True, reason=reason)
        return self[node.id]

    def uncordon(self, name: str) -> FleetNode:
        """Place VMs on a node again."""
        node = self[name]
        with self._recorded("node_uncordon", node.name, {}):
            self._store.change(node.id, cordoned=False, reason="")
        return self[node.id]


def checked_name(field: str, name: str) -> str:
    """Return a name of a group or label. Raises InvalidSpecError."""
    import re

    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name):
        problem = SpecProblem(field, name, "1 to 64 letters, digits, `_ . -`")
        raise InvalidSpecError(f"invalid {field}", problems=[problem])
    return name


def _labelled(present: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    for name, value in changes.items():
        checked_name("label", name)
        if name == "host":
            problem = SpecProblem("label", name, "another name: each node is a domain of its own for the scope 'host'")
            raise InvalidSpecError("invalid label", problems=[problem])
        if value is not None:
            checked_name(f"label {name}", value)
    merged = {**present, **changes}
    return {name: value for name, value in sorted(merged.items()) if value is not None}


def refuse_limits(refused: Mapping[str, Sequence[str]], names: Mapping[str, str]) -> None:
    """Raise the error for limits that can't be set. `names` are the names of the nodes by id."""
    problems = [SpecProblem(names.get(node, node), "the new limits", why) for node, whys in refused.items() for why in whys]
    if problems:
        hint = "move VMs away first, or choose a higher limit; `novacron node show NAME` shows what is allocated"
        raise InvalidSpecError("the limits can't be set", problems=problems, hint=hint)


__all__ = ["NodeCollection", "Recorded", "checked_name", "refuse_balanced", "refuse_limits"]
