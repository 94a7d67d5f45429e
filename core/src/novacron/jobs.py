"""Running long operations: progress, cancellation, result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, TypeVar

import msgspec

from novacron.errors import OperationCancelledError, OperationTimeoutError
from novacron.identity import Identity
from novacron.text import printable_line
from novacron.threads import wait_done

T = TypeVar("T")


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a job. `fraction` is 0 to 1, None if it is unknown; `details` are numbers in bytes and seconds."""

    message: str = ""
    fraction: float | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)


def remaining_seconds(left: float, rate: float, growing: float = 0.0) -> float | None:
    """Return the estimated remaining duration of a transfer in seconds; None if it does not get closer to its end.

    Args:
        left: remaining bytes.
        rate: bytes transferred per second.
        growing: bytes added per second, such as the memory that a guest dirties during a migration.

    Example:
        >>> remaining_seconds(300, 50), remaining_seconds(300, 50, 20), remaining_seconds(300, 50, 50)
        (6.0, 10.0, None)
    """
    return left / (rate - growing) if rate > growing else None


class Job(Future[T], Generic[T]):
    """A running long operation. Drivers report its progress here.

    As a `concurrent.futures.Future` it has `result(timeout)`, `done()`, `add_done_callback`; it can be awaited from asyncio.
    Unlike for a plain Future, `cancel()` also works while it runs: it asks the driver to stop and roll back.

    Drivers use `report`, `raise_if_cancelled`, `on_cancel`, `remaining`. They set `only_reads` while nothing has been changed yet.

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
        self.only_reads = False
        self._progress = Progress()
        self._settled = False
        self._cancel_asked = threading.Event()
        self._on_cancel: list[Callable[[], object]] = []
        self._listeners: list[Callable[[Progress], object]] = []
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        state = "done" if self.done() else "cancelling" if self._cancel_asked.is_set() else "running"
        share = "" if self._progress.fraction is None else f" {self._progress.fraction:.0%}"
        return printable_line(f"<Job {self.operation} {self.resource or ''} {state}{share}>")

    @property
    def actor(self) -> str | None:
        """Who requested the operation; None for a job that was not started by a host."""
        return self.identity.actor if self.identity else None

    @property
    def executor(self) -> str | None:
        """Who runs it."""
        return (self.identity.executor or self.identity.actor) if self.identity else None

    @property
    def progress(self) -> Progress:
        """The latest progress. Reading it does no I/O."""
        return self._progress

    def cancel(self) -> bool:
        """Ask the operation to stop and roll back. Return False if it had already ended. `result()` then returns or raises the outcome."""
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
        """Whether `cancel()` was called."""
        return self._cancel_asked.is_set()

    def listen(self, listener: Callable[[Progress], object]) -> None:
        """Call `listener` with each progress report, in the job's thread."""
        self._listeners.append(listener)

    def report(self, message: str = "", fraction: float | None = None, **details: Any) -> None:
        """Set the progress (for drivers)."""
        self._progress = Progress(message=message, fraction=fraction, details=details)
        for listener in list(self._listeners):
            listener(self._progress)

    def set_result(self, result: T) -> None:
        """End the job successfully and set its progress to 100 % (for the dispatcher). It does nothing after `abandon`."""
        if self._settle():
            self._progress = msgspec.structs.replace(self._progress, fraction=1.0)
            super().set_result(result)

    def set_exception(self, exception: BaseException | None) -> None:
        """End the job with an error (for the dispatcher). It does nothing after `abandon`."""
        if self._settle():
            super().set_exception(exception)

    def abandon(self, error: BaseException) -> None:
        """End the job with an error although its thread still runs (for the dispatcher). It does nothing if the job has ended."""
        self.set_exception(error)

    def _settle(self) -> bool:
        """Return whether the job may end now: the first end counts."""
        with self._guard:
            first, self._settled = not self._settled, True
        return first

    def raise_if_cancelled(self) -> None:
        """Raise an error if the job was cancelled or its deadline passed (for drivers, between steps).

        Raises:
            OperationCancelledError, OperationTimeoutError
        """
        if self._cancel_asked.is_set():
            raise OperationCancelledError(f"{self.operation} was cancelled", resource=self.resource)
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OperationTimeoutError(f"{self.operation} passed its deadline", resource=self.resource)

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback` on cancellation, at once if the job was already cancelled (for drivers: `abortJob`, kill a process)."""
        with self._guard:
            if not self._cancel_asked.is_set():
                self._on_cancel.append(callback)
                return
        callback()

    def wait_cancelled(self, timeout: float) -> bool:
        """Sleep up to `timeout` seconds, or until the cancellation; return whether it was cancelled (for drivers that poll)."""
        return self._cancel_asked.wait(timeout)

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, at least 0; None without a deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def result(self, timeout: float | None = None) -> T:
        """Return the result when the job has ended; after `timeout` seconds raise TimeoutError, and the job continues.

        Ctrl-C is noticed whenever it arrives.
        """
        wait_done(self, timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error that the job ended with, or None; after `timeout` seconds raise TimeoutError."""
        wait_done(self, timeout)
        return super().exception(0)

    def wait(self, timeout: float | None = None) -> T:
        """Return the result, as `result()` does. After `timeout` seconds raise OperationTimeoutError; the job continues."""
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
