"""Calls that have not ended. Python can't stop a thread, so what hangs must not be called again."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class PendingCalls:
    """The names of hosts and sources whose last call has not ended. Each name that hangs takes one thread, however long it hangs.

    Example:
        >>> pending = PendingCalls()
        >>> with pending.call("kvm1"):
        ...     pending.apart(["kvm1", "kvm2"])
        (['kvm2'], ['kvm1'])
        >>> pending.apart(["kvm1"])
        (['kvm1'], [])
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._guard = threading.Lock()

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Remember a call while it runs."""
        with self._guard:
            self._names.add(name)
        try:
            yield
        finally:
            with self._guard:
                self._names.discard(name)

    def apart(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return which of the names can be called, and which still wait for an answer; both in the given order."""
        given = list(names)
        with self._guard:
            pending = self._names.copy()
        return [name for name in given if name not in pending], [name for name in given if name in pending]


__all__ = ["PendingCalls"]
