"""Long operations of a session: numbered, with progress while they run and their outcome afterwards."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from novacron.errors import NotFoundError
from novacron.jobs import Job
from novacron.units import format_size
from novacron_shell.progress import describe

KEPT = 50
"""Ended jobs that are remembered."""


@dataclass
class Listed:
    """A long operation in the book.

    Attributes:
        number: how the user names it.
        title: what it does, such as "migrate web1".
        host: the host that runs it.
        job: its job; None for an operation that reports no progress.
        started: `time.monotonic()` of its start.
        ended: the same of its end; None while it runs.
        error: what it raised.
    """

    number: int
    title: str
    host: str
    job: Job[Any] | None
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    error: BaseException | None = None

    @property
    def status(self) -> str:
        """What became of it: "running", "cancelling", "done", "failed" or "cancelled"."""
        if self.ended is None:
            return "cancelling" if self.job is not None and self.job.cancel_asked else "running"
        if self.error is None:
            return "done"
        return "cancelled" if type(self.error).__name__ == "OperationCancelledError" else "failed"

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def words(self) -> str:
        """Its progress or its error as text."""
        if self.error is not None:
            return str(self.error)
        if self.ended is not None or self.job is None:
            return ""
        share = self.job.progress.fraction
        done = self.job.progress.details.get("transferred_bytes")
        rate = f"{format_size(int(done / self.seconds))}/s" if done and self.seconds > 1 else ""
        return " ".join(filter(None, ("" if share is None else f"{share:.0%}", describe(self.job.progress), rate)))


class JobBook:
    """All long operations that this session started.

    Args:
        announce: called in the operation's thread with each operation that ended while nobody waited for it.
    """

    def __init__(self, announce: Callable[[Listed], object] = lambda _: None) -> None:
        self.announce = announce
        self._numbers = itertools.count(1)
        self._running: dict[int, Listed] = {}
        self._ended: deque[Listed] = deque(maxlen=KEPT)
        self._guard = threading.Lock()

    def begin(self, title: str, host: str, job: Job[Any] | None) -> Listed:
        """List an operation that starts."""
        listed = Listed(next(self._numbers), title, host, job)
        with self._guard:
            self._running[listed.number] = listed
        return listed

    def end(self, listed: Listed, error: BaseException | None = None) -> None:
        """Record that an operation ended."""
        with self._guard:
            self._running.pop(listed.number, None)
            listed.ended, listed.error = time.monotonic(), error
            self._ended.append(listed)
        self.announce(listed)

    @property
    def running(self) -> list[Listed]:
        """The running operations, oldest first."""
        with self._guard:
            return list(self._running.values())

    def all(self) -> list[Listed]:
        """Return running and ended operations, by number."""
        with self._guard:
            return sorted([*self._ended, *self._running.values()], key=lambda listed: listed.number)

    def __getitem__(self, number: int) -> Listed:
        """Return the operation of that number. Raises NotFoundError."""
        for listed in self.all():
            if listed.number == number:
                return listed
        raise NotFoundError(f"there is no job {number} in this session", hint="`:jobs` lists them")


__all__ = ["JobBook", "Listed"]
