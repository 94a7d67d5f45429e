"""How many connections may be opened to one libvirt daemon while it hangs.

libvirt can't be told to give up an opening: each one that hangs keeps a thread, a descriptor, and an `ssh` if there is one, until the
daemon answers or ends. So they are counted for all connections of this process to the same URI.
"""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import NamedTuple

from novacron.errors import OperationTimeoutError

HUNG_KEPT = 8
"""How many openings may hang. While so many do, one more is tried at a time, after growing pauses."""
LONGEST_PAUSE = 1800.0
"""Seconds between two of these tries at most. A try is needed: a machine that lost its power leaves openings that never end."""


class Opening(NamedTuple):
    """An opening under way. It hangs when it takes longer than `patience` seconds."""

    began: float
    patience: float


class Openings:
    """The openings to one URI that are under way, in all threads of this process."""

    def __init__(self, uri: str) -> None:
        self._uri, self._guard, self._under_way = uri, threading.Lock(), list[Opening]()

    def begin(self, patience: float) -> Opening:
        """Count a new opening; `end` must be called when it has ended.

        Args:
            patience: after how many seconds it counts as one that hangs.

        Raises:
            OperationTimeoutError: too many hang.
        """
        with self._guard:
            now = time.monotonic()
            hung = [each for each in self._under_way if now - each.began >= each.patience]
            more = len(self._under_way) - HUNG_KEPT
            if hung and more >= 0:
                newest = max(each.began for each in self._under_way)
                if now - newest < min(LONGEST_PAUSE, patience * 2 ** min(more, 32)):
                    raise OperationTimeoutError(
                        f"{self._uri} does not answer: {len(hung)} connections to it hang, the first for {now - hung[0].began:.0f} s",
                        outcome="not_sent",
                        hint="look at the daemon on its host (`systemctl status libvirtd`); calls succeed again soon after it answers",
                    )
            opening = Opening(now, patience)
            self._under_way.append(opening)
            return opening

    def end(self, opening: Opening) -> None:
        """Count an opening no longer."""
        with self._guard:
            self._under_way.remove(opening)


@cache
def openings_to(uri: str) -> Openings:
    """Return the openings to a URI: one object for all connections of this process."""
    return Openings(uri)


__all__ = ["HUNG_KEPT", "Opening", "Openings", "openings_to"]
