"""What placement knows of the fleet: nodes, rules, and where the VMs of the rules are. It is read once for each decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from novacron.records.capacity import Allocation, Amounts, FleetNode, Inventory, PlacementRule
from novacron.store.takers import Taker


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A VM that needs a node.

    Attributes:
        taker: the VM with its name, tags and amounts.
        group: the group whose nodes are allowed; None for all groups.
        labels: labels that the node must have.
        excluded: ids of nodes that are not allowed, such as one that is being emptied.
        together: VMs that move together with this one; rules do not compare it with them.
    """

    taker: Taker
    group: str | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    excluded: frozenset[str] = frozenset()
    together: frozenset[str] = frozenset()


class FleetView:
    """The nodes and the members of the rules. `add` and `remove` change it only in memory, to plan several VMs.

    Args:
        nodes: all nodes.
        rules: all rules.
        allocations: the allocations of VMs with a tag that a rule names; others may be left out.
    """

    def __init__(
        self, nodes: Iterable[FleetNode], rules: Iterable[PlacementRule] = (), allocations: Iterable[Allocation] = ()
    ) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.rules = list(rules)
        tags = {rule.tag for rule in self.rules}
        self._members: dict[str, list[tuple[str, str, str]]] = {tag: [] for tag in tags}
        for each in allocations:
            self._note(each.tags, each.vm, each.name, each.node)

    def members(self, rule: PlacementRule, but: Iterable[str] = ()) -> list[tuple[str, str | None]]:
        """Return name and domain of each VM of a rule, except for the VMs `but`."""
        left_out = set(but)
        return [
            (name, self.nodes[node].domain(rule.scope))
            for vm, name, node in self._members.get(rule.tag, ())
            if vm not in left_out and node in self.nodes
        ]

    def add(self, taker: Taker, node: str) -> None:
        """Place a VM in memory."""
        self.nodes[node] = changed(self.nodes[node], taker.amounts)
        self._note(taker.tags, taker.vm, taker.name, node)

    def add_all(self, placed: Iterable[tuple[Taker, str]]) -> None:
        """Place many VMs in memory: each node is changed once."""
        growth: dict[str, Amounts] = {}
        for taker, node in placed:
            growth[node] = growth.get(node, Amounts()) + taker.amounts
            self._note(taker.tags, taker.vm, taker.name, node)
        for node, amounts in growth.items():
            self.nodes[node] = changed(self.nodes[node], amounts)

    def replace(self, other: FleetView) -> None:
        """Become what another view is."""
        self.nodes, self._members = other.nodes, other._members

    def remove(self, taker: Taker, node: str) -> None:
        """Remove a VM in memory."""
        self.nodes[node] = changed(self.nodes[node], Amounts() - taker.amounts)
        for tag in taker.tags & self._members.keys():
            self._members[tag] = [each for each in self._members[tag] if each[0] != taker.vm or each[2] != node]

    def copy(self) -> FleetView:
        """Return a view that can be changed on its own."""
        other = FleetView(self.nodes.values(), self.rules)
        other._members = {tag: [*members] for tag, members in self._members.items()}
        return other

    def _note(self, tags: Iterable[str], vm: str, name: str, node: str) -> None:
        for tag in tags:
            if tag in self._members:
                self._members[tag].append((vm, name, node))


def changed(node: FleetNode, growth: Amounts) -> FleetNode:
    """Return a node with more allocated."""
    return msgspec.structs.replace(
        node,
        vcpus=_grown(node.vcpus, growth.vcpus),
        memory=_grown(node.memory, growth.memory_bytes),
        storage=_grown(node.storage, growth.storage_bytes),
    )


def _grown(inventory: Inventory, amount: int) -> Inventory:
    return inventory if not amount else msgspec.structs.replace(inventory, allocated=inventory.allocated + amount)


def needs(taker: Taker) -> Sequence[tuple[str, int]]:
    """Return the resources that a VM takes, with the amounts."""
    amounts = taker.amounts
    pairs = (("vcpus", amounts.vcpus), ("memory", amounts.memory_bytes), ("storage", amounts.storage_bytes))
    return [(resource, amount) for resource, amount in pairs if amount > 0]


__all__ = ["FleetView", "Request", "changed", "needs"]
