"""Whether nodes answer: each by itself, or another machine at its address, as after a replaced mainboard or an address given twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from novacron.fleets.asking import Answer, Askable
from novacron.fleets.failover.watching import ANEW
from novacron.records.capacity import FleetNode

Presence = Literal["itself", "stranger", "silent"]
"""stranger: another machine answers at the node's address. Nothing is known of the node then, and its fence device may belong to the other
machine as well."""
STRANGER = f"another machine answers at its address; if it was replaced, {ANEW}"
"""Why such a node is not fenced."""
LAST_LOOK = 2.0
"""Seconds that a node that is off has to answer nevertheless, while the other hosts list their VMs."""


class NodeAnsweredError(Exception):
    """A node that was to be fenced answers again."""


class StrangerError(Exception):
    """Another machine answers in place of a node that was to be fenced."""


class Presences:
    """Asks nodes whether they answer.

    Args:
        fleet: the fleet.
        timeout: seconds that a host may take to answer.
    """

    def __init__(self, fleet: Askable, timeout: float) -> None:
        self._fleet, self._timeout = fleet, timeout

    def of(self, nodes: Sequence[FleetNode], timeout: float | None = None) -> list[Presence]:
        """Ask nodes at once. The connection to one that does not answer is closed, so that the next question uses a new one."""
        answers = self._fleet.ask([node.host for node in nodes], _identity, timeout=timeout or self._timeout)
        found = [_presence(node, answer) for node, answer in zip(nodes, answers, strict=True)]
        for node, each in zip(nodes, found, strict=True):
            if each != "itself":
                self._fleet.hosts.forget(node.host)
        return found

    def now(self, node: FleetNode, timeout: float | None = None) -> Presence:
        """Ask a node on a new connection."""
        self._fleet.hosts.forget(node.host)
        [found] = self.of([node], timeout)
        return found


def _identity(host: Any) -> str | None:
    """Return the UUID of a host's node, which shows that it answers. Not all drivers tell one."""
    nodes = host.nodes()
    return nodes[0].id if nodes else None


def _presence(node: FleetNode, answer: Answer) -> Presence:
    if answer.error is not None:
        return "silent"
    return "itself" if answer.value in (node.id, None) else "stranger"


__all__ = ["LAST_LOOK", "STRANGER", "NodeAnsweredError", "Presence", "Presences", "StrangerError"]
