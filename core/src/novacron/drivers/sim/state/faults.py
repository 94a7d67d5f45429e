"""Injected faults and latency of a simulated host. Tests set them; they apply around every operation."""

from __future__ import annotations

import copy
import fnmatch
import random
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Literal

from novacron.errors import HostConnectionError, NovaCronError, OperationCancelledError, OperationTimeoutError
from novacron.jobs import Job

When = Literal["before", "during", "after"]
POLL = 0.02
"""Seconds between two checks whether a hanging job was cancelled."""


class Fault:
    """One injected fault; see `Faults.add`."""

    __slots__ = ("error", "hang", "latency", "operation", "resource", "times", "when")

    def __init__(
        self,
        operation: str,
        error: Exception | None,
        when: When,
        times: int | None,
        resource: str | None,
        latency: float,
        hang: float | None,
    ) -> None:
        self.operation, self.error, self.when, self.times, self.resource = operation, error, when, times, resource
        self.latency, self.hang = latency, hang

    def fits(self, operation: str, when: When, names: Collection[str]) -> bool:
        """Return whether the fault applies now."""
        return (
            self.when == when
            and fnmatch.fnmatchcase(operation, self.operation)
            and (self.resource is None or self.resource in names)
        )


class Faults:
    """A host's faults and latency.

    Example:
        >>> from novacron.errors import ResourceAllocationError
        >>> faults = Faults()
        >>> faults.add("volume_*", error=ResourceAllocationError("disk full"), times=2)
        >>> faults.add("vm_start", latency=0.5, times=None)
        >>> faults.pending
        ['volume_* before', 'vm_start before']
        >>> faults.clear()
    """

    def __init__(self, seed: str = "") -> None:
        self.latency = 0.0
        self.jitter = 0.0
        self._faults: list[Fault] = []
        self._guard = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 - delays, no secrets
        self._released = threading.Event()
        self._connected = True

    def add(
        self,
        operation: str,
        *,
        error: Exception | None = None,
        when: When = "before",
        times: int | None = 1,
        resource: str | None = None,
        latency: float = 0.0,
        hang: float | None = None,
    ) -> None:
        """Inject a fault.

        Args:
            operation: a hook's name, or a shell pattern such as "vm_*".
            error: the error to raise, copied each time. Default: a HostConnectionError if `latency` and `hang` are not given either.
            when: "before" the effect; "during" the operation, which must then be rolled back (creating, cloning, migrating, snapshots,
                volumes); "after" it: the operation succeeded, but the caller gets the error with the outcome "unknown".
            times: how often it happens; None for always.
            resource: only for this VM, volume, ... (name or UUID).
            latency: additional duration of the operation, in seconds.
            hang: duration without an answer, in seconds, followed by OperationTimeoutError. `clear()` or cancelling the job ends it. A job
                that is cancelled "after" the effect ends as if nobody had cancelled it, because it is too late to roll it back.
        """
        if error is None and not latency and hang is None:
            error = HostConnectionError("the simulated connection broke")
        with self._guard:
            self._faults.append(Fault(operation, error, when, times, resource, latency, hang))

    def clear(self) -> None:
        """Remove all faults and let hanging operations continue."""
        with self._guard:
            self._faults.clear()
            self._released.set()
            self._released = threading.Event()

    @property
    def pending(self) -> list[str]:
        """The faults that can still happen, as "operation when"."""
        with self._guard:
            return [f"{fault.operation} {fault.when}" for fault in self._faults]

    @property
    def connected(self) -> bool:
        """Whether the host can be reached."""
        return self._connected

    def set_connected(self, connected: bool) -> None:
        """Disconnect or reconnect the host. Use `World.disconnect` and `World.reconnect`, which also handle events."""
        self._connected = connected

    def around(self, operation: str, names: Collection[str], job: Job[Any] | None, effect: Callable[[], Any]) -> Any:
        """Run `effect` with the faults before and after it."""
        self._check_connected()
        delay = self.latency + (self._random.uniform(0, self.jitter) if self.jitter else 0.0)
        if delay:
            _sleep(delay, job)
        self.strike(operation, "before", names, job)
        result = effect()
        self.strike(operation, "after", names, job)
        return result

    def strike(self, operation: str, when: When, names: Collection[str], job: Job[Any] | None = None) -> None:
        """Apply the matching faults."""
        if not self._faults:
            return
        for fault in self._take(operation, when, names):
            with suppress(*((OperationCancelledError,) if when == "after" else ())):  # too late to cancel
                if fault.latency:
                    _sleep(fault.latency, job)
                if fault.hang is not None:
                    self._hang(operation, fault.hang, job)
            if fault.error is not None:
                error = copy.copy(fault.error)
                if when == "after" and isinstance(error, NovaCronError):
                    error.outcome = "unknown"
                raise error

    def _take(self, operation: str, when: When, names: Collection[str]) -> list[Fault]:
        with self._guard:
            struck = [fault for fault in self._faults if fault.fits(operation, when, names)]
            for index, fault in enumerate(struck):
                if fault.times is not None:
                    fault.times -= 1
                if fault.error is not None:
                    struck = struck[: index + 1]  # later ones apply to the next call
                    break
            self._faults = [fault for fault in self._faults if fault.times is None or fault.times > 0]
            return struck

    def _hang(self, operation: str, seconds: float, job: Job[Any] | None) -> None:
        released, until = self._released, time.monotonic() + seconds
        while (remaining := until - time.monotonic()) > 0:
            if released.wait(min(POLL, remaining) if job else remaining):
                return
            if job:
                job.raise_if_cancelled()
        raise OperationTimeoutError(
            f"the simulated host did not answer {operation} within {seconds:g} s",
            outcome="unknown",
            hint="check the state before you repeat it",
        )

    def _check_connected(self) -> None:
        if not self._connected:
            raise HostConnectionError("the simulated host can't be reached", outcome="not_sent")


def _sleep(seconds: float, job: Job[Any] | None) -> None:
    if job is None:
        time.sleep(seconds)
    elif job.wait_cancelled(seconds):
        job.raise_if_cancelled()


__all__ = ["Fault", "Faults", "When"]
