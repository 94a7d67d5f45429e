"""Nodes that were rebooted too quickly for a failover, or not fenced, as after a power cut: their VMs are started there again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from novacron.errors import BusyError, NovaCronError, StorageError
from novacron.fleets.asking import Askable
from novacron.fleets.failover.places import Places
from novacron.fleets.failover.protecting import AUTOSTARTED, NEVER_RESTARTED
from novacron.fleets.failover.returning import ended_together, started_again
from novacron.records.capacity import FleetNode
from novacron.store.failovers import FailoverStore, Right

PATIENCE = 300.0
"""For how many seconds the VMs of a node that answers again are started anew if they can't be."""
START_ROUNDS = 12
"""In how many rounds it is tried to start the VMs of a node that was rebooted: its storage may need a while."""


class Ended(NamedTuple):
    """VMs that have ended if their node was rebooted.

    Attributes:
        vms: those that are started again.
        alone: all that do not start by themselves; if none of these runs, the node was rebooted.
        until: when nothing is started any more: this process may have been halted, or lost its right for hours, and a person has acted.
        certain: whether it is known that the node was rebooted.
        rounds: in how many rounds it is still tried to start them.
    """

    vms: Sequence[str]
    alone: frozenset[str]
    until: float
    certain: bool = False
    rounds: int = START_ROUNDS


class Reboots:
    """Starts the VMs of nodes that answer again.

    Args:
        fleet: the fleet.
        store: where failovers are stored.
        places: finds out where VMs are.
        clock: returns a time that never jumps, in seconds.
    """

    def __init__(self, fleet: Askable, store: FailoverStore, places: Places, clock: Callable[[], float]) -> None:
        self._fleet, self._store, self._places, self._clock = fleet, store, places, clock
        self._ended: dict[str, Ended] = {}

    def look(
        self, right: Right, watched: Sequence[FleetNode], silent: Collection[str], returned: Sequence[FleetNode]
    ) -> list[str]:
        """Start what has ended. Returns messages for the administrator.

        Args:
            right: the right of the controller.
            watched: the nodes that are watched.
            silent: ids of those that do not answer.
            returned: those that answer again.
        """
        if not returned and not self._ended:
            return []
        failing = {failover.node for failover in self._store.all(unended=True)}
        self._remember([node for node in returned if node.id not in failing])
        messages = []
        for node in watched:
            if node.id not in self._ended or node.id in silent:
                continue
            ended = self._ended.pop(node.id)
            if node.id in failing or self._clock() > ended.until:
                continue  # its VMs are restarted elsewhere, or that is long ago
            try:
                if not ended.certain and not ended_together(self._fleet.hosts[node.host], ended.alone):
                    continue
                ended = ended._replace(certain=True)
                done, left = self.start_again(right, node, ended.vms)
            except (BusyError, StorageError):
                raise
            except NovaCronError as error:  # it may have fallen silent again
                done, left = [], [f"it is not known whether its VMs run: {error}"]
            if left and ended.rounds > 1:
                self._ended[node.id] = ended._replace(rounds=ended.rounds - 1)
            event = "was rebooted" if ended.certain else "answers again"
            messages += [f"{node.name} {event}: {text}" for text in (*done, *left)]
        return messages

    def start_again(self, right: Right, node: FleetNode, vms: Sequence[str]) -> tuple[list[str], list[str]]:
        """Start VMs that ran on a node, and have ended, on that node. Returns what was done, and what is left to do, as texts."""
        seen = self._places.besides(node.hosts)
        unknown = self._places.unknown(node, seen)
        return started_again(self._fleet.hosts[node.host], vms, seen.vms, unknown, lambda: self._store.check(right))

    def _remember(self, returned: Sequence[FleetNode]) -> None:
        """Note what ran on nodes that answer again, before anything takes it for stopped."""
        stored = self._store.protected() if returned else {}
        for node in returned:
            ran = self._places.ran_only_on(node)
            alone = {vm for vm in ran if vm not in stored or AUTOSTARTED not in stored[vm].refusals}
            if alone:
                wanted = [vm for vm in ran if vm in stored and NEVER_RESTARTED not in stored[vm].refusals]
                self._ended[node.id] = Ended(wanted, frozenset(alone), self._clock() + PATIENCE)


__all__ = ["PATIENCE", "Reboots"]
