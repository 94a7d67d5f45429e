"""Groups of nodes: what holds for all their members. A node whose group is set has its capacity managed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, InvalidStateError, NotFoundError, SpecProblem
from novacron.fleets.balancers import balancer_named
from novacron.fleets.limits import effective
from novacron.fleets.nodes import Recorded, checked_name, refuse_limits
from novacron.handles.collection import Collection
from novacron.records.capacity import FleetNode, NodeGroup
from novacron.store.nodes import NodeStore

if TYPE_CHECKING:
    from novacron.specs.capacity import GroupSettings

FLEET = "fleet"
"""The name under which the settings of the whole fleet are changed."""


class GroupCollection(Collection[NodeGroup]):
    """The groups: `fleet.groups.set("prod", vcpus_ratio=2)`. The name "fleet" stands for all groups.

    Args:
        store: where groups are stored.
        recorded: writes audit lines.
        hooks: returns the hooks of the plugins, whose balancers a group can use.

    Example:
        >>> import novacron
        >>> fleet = novacron.fleet()
        >>> _ = fleet.groups.set("prod", vcpus_ratio=2, memory_reserved="8GiB")
        >>> fleet.groups["prod"].settings
        {'vcpus_ratio': 2.0, 'memory_reserved': 8589934592}
        >>> fleet.groups.remove("prod")
    """

    def __init__(self, store: NodeStore, recorded: Recorded, hooks: Callable[[], Any]) -> None:
        self._store, self._recorded, self._hooks = store, recorded, hooks

    _title = "groups"

    def _all(self) -> Sequence[NodeGroup]:
        return self.list()

    def _find(self, name: str) -> NodeGroup:
        found = {group.name: group for group in self.list()}.get(name)
        if found is None:
            raise NotFoundError(f"no group named {name!r} in the fleet", resource=name, hint="`novacron fleet groups` shows them")
        return found

    def list(self) -> Sequence[NodeGroup]:
        """Return all groups that have members or settings, sorted by name; "fleet" first, if it has settings."""
        stored = self._store.groups()
        members: dict[str, list[str]] = {}
        for node in self._store.list():
            if node.group is not None:
                members.setdefault(node.group, []).append(node.name)
        names = sorted({*members, *stored})
        return [NodeGroup(name=n or FLEET, nodes=tuple(members.get(n, ())), settings=stored.get(n, {})) for n in names]

    def set(self, name: str, **settings: Any) -> NodeGroup:
        """Change settings of a group, or of the whole fleet if the name is "fleet". What is not given stays as it is.

        Raises:
            InvalidSpecError: a value is invalid, or does not fit what is allocated on a node. Nothing is changed then.
        """
        from novacron.specs.capacity import GroupSettings

        key = "" if name == FLEET else checked_name("group", name)
        balancer_named(self._hooks(), GroupSettings.parse(settings).balancer)
        with self._recorded("group_set", name, settings), self._store.changing():
            groups = self._store.groups()
            groups[key] = GroupSettings.parse({**groups.get(key, {}), **settings}).as_dict()
            nodes = [node for node in self._store.list() if not key or node.group == key]
            _known_domain(groups[key].get("failure_domain"), nodes)
            changes = {node.id: self._limits_of(node, groups) for node in nodes}
            refuse_limits(self._store.limit(changes, {key: groups[key]}), {node.id: node.name for node in nodes})
        return self[name]

    def remove(self, name: str) -> None:
        """Delete the settings of a group that has no members.

        Raises:
            InvalidStateError: nodes belong to it.
            NotFoundError: there is no such group.
        """
        group = self[name]
        if group.nodes:
            hint = 'take them out with `novacron node set NAME --group ""`'
            raise InvalidStateError(f"nodes belong to the group {name!r}: {', '.join(group.nodes)}", resource=name, hint=hint)
        if name == FLEET:
            self.set(FLEET, **dict.fromkeys(self._store.groups()[""]))
        with self._recorded("group_remove", name, {}):
            self._store.remove_group("" if name == FLEET else name)

    def _limits_of(self, node: FleetNode, groups: dict[str, Any]) -> dict[str, Any]:
        return effective(self._store.settings(node.id), groups.get(node.group or "", {}), groups.get("", {}))


def _known_domain(domain: str | None, nodes: Sequence[FleetNode]) -> None:
    labels = sorted({label for node in nodes for label in node.labels})
    if domain not in (None, "host", *labels):
        problem = SpecProblem(
            "failure_domain", str(domain), f"host, or a label of a node: {', '.join(labels) or 'there is none yet'}"
        )
        raise InvalidSpecError("unknown failure domain", problems=[problem])


def settings_of(store: NodeStore, group: str | None) -> GroupSettings:
    """Return the settings of a group: its own, then those of the fleet."""
    from novacron.specs.capacity import GroupSettings

    groups = store.groups()
    return GroupSettings.parse({**groups.get("", {}), **(groups.get(group, {}) if group else {})})


__all__ = ["FLEET", "GroupCollection", "settings_of"]
