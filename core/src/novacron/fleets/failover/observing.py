"""Which nodes are silent, and for how long. Only times of this process count, so a clock that jumps changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import msgspec


class Silence(msgspec.Struct):
    """A node that does not answer: since when, and how often it was asked without an answer."""

    since: float
    times: int = 0


class Observations:
    """What this controller has seen itself. A controller that was halted for a while starts anew.

    Args:
        clock: returns a time that never jumps, in seconds.
        interval: seconds between two rounds.
    """

    LATE = 3
    """A pause of so many intervals between two rounds means that the controller was halted."""
    TIMES = 3
    """How often in a row a node has to be silent."""

    def __init__(self, clock: Callable[[], float], interval: float) -> None:
        self._clock, self._interval = clock, interval
        self._silent: dict[str, Silence] = {}
        self._began: float | None = None
        self._ended: float | None = None

    def begin_round(self) -> None:
        """Begin a round. If the pause since the last one was far too long, everything seen before is forgotten."""
        now = self._clock()
        if self._began is None or self._ended is None or not 0 <= now - self._ended <= self.LATE * self._interval:
            self.restart()

    def end_round(self) -> None:
        """End a round. The time that a round takes does not count as a pause."""
        self._ended = self._clock()

    def restart(self) -> None:
        """Forget everything, and begin the grace period."""
        self._silent.clear()
        self._began = self._ended = self._clock()

    def keep(self, nodes: Collection[str]) -> None:
        """Forget all nodes but these. A node that was left alone for a while is observed anew, as after a restart."""
        self._silent = {node: seen for node, seen in self._silent.items() if node in nodes}

    @property
    def age(self) -> float:
        """How many seconds this controller has observed without a gap."""
        return self._clock() - self._began if self._began is not None else 0.0

    def answered(self, node: str) -> bool:
        """Record that a node has answered. Returns whether it was silent before."""
        return self._silent.pop(node, None) is not None

    def silent(self, node: str, since: float) -> None:
        """Record that a node has not answered.

        Args:
            node: the node.
            since: when it was asked.
        """
        self._silent.setdefault(node, Silence(since)).times += 1

    def silent_for(self, node: str) -> float | None:
        """Return for how many seconds a node has been silent; None if it answers."""
        seen = self._silent.get(node)
        return None if seen is None else self._clock() - seen.since

    def silent_within(self, seconds: float) -> bool:
        """Return whether any node has fallen silent in the last seconds."""
        return any(self._clock() - seen.since < seconds for seen in self._silent.values())

    def suspect(self, node: str, after: float) -> bool:
        """Return whether a node has been silent for `after` seconds, and in enough rounds."""
        seen = self._silent.get(node)
        return seen is not None and seen.times >= self.TIMES and self._clock() - seen.since >= after


def brake(silent: Collection[str], members: Collection[str], age: float, grace: float, disarmed: bool) -> str:
    """Return why no node of a group may be fenced now; empty if one may.

    Args:
        silent: the nodes of the group that do not answer, or whose failover has not ended.
        members: all nodes of the group.
        age: seconds for which this controller has observed.
        grace: seconds for which a controller only observes.
        disarmed: whether failover is disarmed.

    Example:
        >>> brake(["a"], ["a", "b", "c"], 100, 60, False), brake(["a", "b"], ["a", "b", "c"], 100, 60, False)
        ('', '2 of 3 nodes of the group are silent, so the fault may be on this side')
    """
    if disarmed:
        return "failover is disarmed"
    if age < grace:
        return f"the controller has observed for {age:.0f} s only, of {grace:.0f} s"
    if len(silent) >= 2 and 2 * len(silent) >= len(members):
        return f"{len(silent)} of {len(members)} nodes of the group are silent, so the fault may be on this side"
    if len(members) < 2:
        return "the group has no other node"
    return ""


def second_view(readings: Mapping[str, str], others_answer: bool) -> str:
    """Return why the silence of a node is not confirmed; empty if it is.

    A device that answers, and another node that answers, show that the fault is not on the side of the controller.

    Args:
        readings: the power status that each fence device reported.
        others_answer: whether another node of the group answers.
    """
    if not others_answer:
        return "no other node of its group answers"
    if not any(status in ("on", "off") for status in readings.values()):
        return "none of its fence devices answers, so a second view is missing"
    return ""


__all__ = ["Observations", "brake", "second_view"]
