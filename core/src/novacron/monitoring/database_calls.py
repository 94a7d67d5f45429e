"""Calls of the state database with a deadline, so that a database that hangs does not stop the collection."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from novacron.errors import StorageError
from novacron.threads import in_thread

T = TypeVar("T")


class DatabaseCalls:
    """Makes one call of the database at a time. A call that hangs takes one thread, and further calls fail at once until it has ended.

    Args:
        seconds: how long a call may take.

    Example:
        >>> calls = DatabaseCalls(5.0)
        >>> calls.run(lambda: 3), calls.hanging
        (3, False)
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: Future[Any] | None = None

    @property
    def hanging(self) -> bool:
        """Whether an earlier call has not ended yet."""
        return self._running is not None and not self._running.done()

    def run(self, work: Callable[[], T]) -> T:
        """Make a call and return its result.

        Args:
            work: reads or writes the database.

        Raises:
            StorageError: it has not ended in time, or an earlier one has not. A call that is late still runs, and may succeed.
        """
        if self.hanging:
            raise StorageError("the state database still does not answer", outcome="not_sent", hint="check the database's server")
        running: Future[T] = in_thread(work, "novacron-metrics-database")
        self._running = running
        try:
            return running.result(self._seconds)
        except TimeoutError:
            if running.done():
                raise
            raise StorageError(
                f"the state database did not answer within {self._seconds:g} s",
                outcome="unknown",
                hint="check the database's server",
            ) from None

    def of(self, target: Any) -> Any:
        """Return an object whose methods are calls of the database with the deadline.

        Example:
            >>> DatabaseCalls(5.0).of([3, 3]).count(3)
            2
        """
        return _Guarded(self, target)


class _Guarded:
    def __init__(self, calls: DatabaseCalls, target: Any) -> None:
        self._calls, self._target = calls, target

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._target, name)
        return lambda *arguments, **named: self._calls.run(lambda: method(*arguments, **named))


__all__ = ["DatabaseCalls"]
