"""A part of a run that can be stopped as a whole: by cancel, by a timeout, or by a failure beside it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

from novacron.errors import NovaCronError, OperationTimeoutError
from novacron.jobs import Job, Progress

GRACE = 30.0
"""Seconds that an operation has to roll back after its deadline, before its outcome counts as unknown."""


class DetachedError(BaseException):
    """A run is left, between two steps, for another process to resume. No Exception: nothing in this one deals with it."""


class Gate:
    """Lets steps begin, or not: a run is paused, or left for another process."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.detached = False

    def detach(self) -> None:
        """Let no further step begin in this process."""
        self.detached = True
        self.open.set()


class Scope:
    """Stopped when its parent is; the reason is raised in whatever runs inside."""

    def __init__(self, parent: Scope | None = None) -> None:
        self.reason: NovaCronError | None = None
        self._stopped = threading.Event()
        self._guard = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
        self._parent = parent
        self._gate: Gate = parent._gate if parent is not None else Gate()
        if parent is not None:
            parent.on_stop(self._from_parent)

    def _from_parent(self) -> None:
        if self._parent is not None and self._parent.reason is not None:
            self.stop(self._parent.reason)

    def stop(self, reason: NovaCronError) -> None:
        """Stop what runs inside, once."""
        with self._guard:
            if self.reason is not None:
                return
            self.reason = reason
            callbacks, self._callbacks = self._callbacks, []
        self._stopped.set()
        for callback in callbacks:
            callback()

    def on_stop(self, callback: Callable[[], object]) -> None:
        """Call `callback` when stopped, at once if it already is."""
        with self._guard:
            if self.reason is None:
                self._callbacks.append(callback)
                return
        callback()

    def forget(self, callback: Callable[[], object]) -> None:
        """No longer call `callback`."""
        with self._guard:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def close(self) -> None:
        """Release the parent."""
        if self._parent is not None:
            self._parent.forget(self._from_parent)

    @property
    def gate(self) -> Gate:
        """What each step of the whole run passes before it begins."""
        return self._gate

    def pass_gate(self) -> None:
        """Wait while the run is paused.

        Raises:
            the reason, when stopped.
            DetachedError: another process resumes the run.
        """
        self.check()
        while not self._gate.open.wait(0.1):
            self.check()
        if self._gate.detached:
            raise DetachedError("another process resumes the run")

    def check(self) -> None:
        """Raise the reason when stopped."""
        if self.reason is not None:
            raise copy.copy(self.reason)  # its own: it is raised in several threads

    def wait(self, seconds: float) -> None:
        """Sleep, and raise the reason when stopped meanwhile."""
        if self._stopped.wait(seconds):
            self.check()

    def follow(self, job: Job[Any], report: Callable[[Progress], object]) -> Any:
        """Wait for a job, handing on its progress; when the scope is stopped the job is cancelled and its end awaited.

        A job that ends well in spite of that has happened: its result is returned, so that it can be undone.
        """
        job.listen(report)
        if job.progress.message:
            report(job.progress)  # what it reported before we listened
        self.on_stop(job.cancel)
        remaining = job.remaining()
        try:
            return job.result(None if remaining is None else remaining + GRACE)
        except TimeoutError:
            if job.done():
                raise
            job.cancel()
            raise OperationTimeoutError(
                f"{job.operation} did not end in time",
                resource=job.resource,
                outcome="unknown",
                hint="it may still end; look at the state before repeating it",
            ) from None
        except NovaCronError as error:
            if self.reason is not None and error.outcome != "unknown":
                raise copy.copy(self.reason) from error
            raise
        finally:
            self.forget(job.cancel)


__all__ = ["GRACE", "DetachedError", "Gate", "Scope"]
