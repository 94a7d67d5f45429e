"""Long operations under way: progress, cancellation, result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, TypeVar

import msgspec

from novacron.errors import OperationCancelledError, OperationTimeoutError
from novacron.identity import Identity

T = TypeVar("T")


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is. `fraction` is 0 to 1, None while unknown; `details` are numbers in bytes and seconds."""

    message: str = ""
    fraction: float | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)


def remaining_seconds(left: float, rate: float, growing: float = 0.0) -> float | None:
    """Return in how many seconds a transfer will have ended; None when it does not get nearer to its end.

    Args:
        left: bytes that are left.
        rate: bytes that go each second.
        growing: bytes that are added each second, as a guest does that writes to memory which was sent.

    Example:
        >>> remaining_seconds(300, 50), remaining_seconds(300, 50, 20), remaining_seconds(300, 50, 50)
        (6.0, 10.0, None)
    """
    return left / (rate - growing) if rate > growing else None


class Job(Future[T], Generic[T]):
    """A long operation under way; also what its driver reports to.

    As a `concurrent.futures.Future` it has `result(timeout)`, `done()`, `add_done_callback`; it can be awaited from asyncio.
    Unlike a plain Future, `cancel()` works while it runs: it asks the driver to stop and roll back.

    Drivers use `report`, `raise_if_cancelled`, `on_cancel`, `remaining`.

    Example:
        >>> job = Job("vm_clone", "web1")
        >>> job.report("copying", 0.5)
        >>> job.progress.fraction
        0.5
    """

    def __init__(self, operation: str, resource: str | None = None, *, deadline: float | None = None) -> None:
        super().__init__()
        self.operation = operation
        self.resource = resource
        self.started_at = time.time()
        self.identity: Identity | None = None
        self.deadline = None if deadline is None else time.monotonic() + deadline
        self._progress = Progress()
        self._cancel_asked = threading.Event()
        self._on_cancel: list[Callable[[], object]] = []
        self._listeners: list[Callable[[Progress], object]] = []
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        state = "done" if self.done() else "cancelling" if self._cancel_asked.is_set() else "running"
        share = "" if self._progress.fraction is None else f" {self._progress.fraction:.0%}"
        return f"<Job {self.operation} {self.resource or ''} {state}{share}>"

    @property
    def actor(self) -> str | None:
        """Who asked for the operation; None for a job that no host began."""
        return self.identity.actor if self.identity else None

    @property
    def executor(self) -> str | None:
        """Who executes it."""
        return (self.identity.executor or self.identity.actor) if self.identity else None

    @property
    def progress(self) -> Progress:
        """The latest progress; never does I/O."""
        return self._progress

    def cancel(self) -> bool:
        """Ask the operation to stop and roll back; return whether it was still under way. `result()` then tells how it ended."""
        with self._guard:
            if self.done():
                return False
            self._cancel_asked.set()
            callbacks, self._on_cancel = self._on_cancel, []
        for callback in callbacks:
            callback()
        return True

    @property
    def cancel_asked(self) -> bool:
        """Whether somebody called `cancel()`."""
        return self._cancel_asked.is_set()

    def listen(self, listener: Callable[[Progress], object]) -> None:
        """Call `listener` with every new progress, from the job's thread."""
        self._listeners.append(listener)

    def report(self, message: str = "", fraction: float | None = None, **details: Any) -> None:
        """Set the progress (for drivers)."""
        self._progress = Progress(message=message, fraction=fraction, details=details)
        for listener in list(self._listeners):
            listener(self._progress)

    def set_result(self, result: T) -> None:
        """End the job well: it is whole, whatever was reported last (for the dispatcher)."""
        self._progress = msgspec.structs.replace(self._progress, fraction=1.0)
        super().set_result(result)

    def raise_if_cancelled(self) -> None:
        """Raise when the caller cancelled or the deadline passed (for drivers, between steps).

        Raises:
            OperationCancelledError, OperationTimeoutError
        """
        if self._cancel_asked.is_set():
            raise OperationCancelledError(f"{self.operation} was cancelled", resource=self.resource)
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OperationTimeoutError(f"{self.operation} passed its deadline", resource=self.resource)

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the job is cancelled, at once if it already was (for drivers: `abortJob`, kill a process)."""
        with self._guard:
            if not self._cancel_asked.is_set():
                self._on_cancel.append(callback)
                return
        callback()

    def wait_cancelled(self, timeout: float) -> bool:
        """Sleep up to `timeout` seconds, less when cancelled; return whether it was (for drivers that poll)."""
        return self._cancel_asked.wait(timeout)

    def remaining(self) -> float | None:
        """Seconds to the deadline, at least 0; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def wait(self, timeout: float | None = None) -> T:
        """Return the result, as `result()` does, with NovaCron's error when `timeout` seconds pass (the job goes on)."""
        try:
            return self.result(timeout)
        except TimeoutError:
            if self.done():
                raise
            raise OperationTimeoutError(
                f"{self.operation} still runs after {timeout} s", resource=self.resource, outcome="unknown"
            ) from None
        except CancelledError:
            raise OperationCancelledError(f"{self.operation} was cancelled", resource=self.resource) from None

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio  # a fifth of what starting costs, and few await

        return asyncio.wrap_future(self).__await__()


__all__ = ["Job", "Progress", "remaining_seconds"]
