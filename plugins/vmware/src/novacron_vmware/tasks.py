"""Waits for vSphere's tasks: progress, cancelling, a session that expires meanwhile, and giving up."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from novacron.errors import OperationTimeoutError
from novacron.jobs import Job
from novacron_vmware.errors import mapped, translated
from novacron_vmware.sdk import vmodl

if TYPE_CHECKING:
    from novacron_vmware.collector import PropertyReader

ENDED = ("success", "error")
PATHS = ["info.state", "info.progress", "info.error", "info.result"]


def wait(
    reader: PropertyReader,
    task: Any,
    *,
    resource: str,
    job: Job[Any] | None = None,
    seconds: float = 3000.0,
    part: tuple[float, float] = (0.0, 1.0),
) -> Any:
    """Wait for a task and return its result; a cancelled job cancels the task, and so does giving up.

    Args:
        reader: the connection whose task it is.
        task: what a method ending in `_Task` returned.
        resource: the name for errors.
        job: whom to report to, and who may be cancelled.
        seconds: how long at most.
        part: between which fractions of the whole job the task is.

    Raises:
        NovaCronError: what the task's fault maps to.
        OperationTimeoutError: it still ran after `seconds`; it was told to stop, and its outcome is unknown.
    """
    waiting = _Waiting(reader, task, PATHS)
    deadline, asked = time.monotonic() + seconds, False
    with translated(resource):
        try:
            now = waiting.look()
            while now.get("info.state") not in ENDED:
                if job is not None and job.cancel_asked and not asked:
                    asked = True
                    _cancel(task)
                if time.monotonic() > deadline:
                    raise OperationTimeoutError(
                        f"vSphere's task still runs after {seconds:g} s",
                        resource=resource,
                        outcome="unknown",
                        hint="it was told to stop; look at the state before repeating it",
                    )
                now = waiting.change()
                if job is not None and now.get("info.progress") is not None:
                    begin, end = part
                    job.report(str(now.get("info.state")), begin + (end - begin) * now["info.progress"] / 100)
        except BaseException:
            _cancel(task)
            raise
        finally:
            waiting.close()
    if now["info.state"] == "error":
        fault = now["info.error"]
        raise mapped(fault, resource=resource) from fault
    return now.get("info.result")


def _cancel(task: Any) -> None:
    with suppress(vmodl.MethodFault, OSError):  # it can't be cancelled, or has just ended: how it ends decides
        task.CancelTask()


def wait_for_value(
    reader: PropertyReader,
    thing: Any,
    path: str,
    value: Any,
    *,
    resource: str,
    job: Job[Any] | None = None,
    seconds: float = 600.0,
) -> None:
    """Wait until a property of an object has a value. The job may be cancelled; the object is left as it is then.

    Raises:
        OperationTimeoutError: it had not after `seconds`; the outcome is unknown.
    """
    waiting, deadline = _Waiting(reader, thing, [path]), time.monotonic() + seconds
    with translated(resource):
        try:
            now = waiting.look()
            while now.get(path) != value:
                if job is not None:
                    job.raise_if_cancelled()
                if time.monotonic() > deadline:
                    raise OperationTimeoutError(
                        f"{path} has not changed after {seconds:g} s",
                        resource=resource,
                        outcome="unknown",
                        hint="look at the tasks of the object",
                    )
                now = waiting.change()
        finally:
            waiting.close()


class _Waiting:
    """What is known of one task or another object; the first look is a plain read, for most tasks have ended by then."""

    def __init__(self, reader: PropertyReader, thing: Any, paths: list[str]) -> None:
        self._reader, self._thing, self._paths = reader, thing, paths
        self._collector: Any = None
        self._version = ""
        self._now = dict[str, Any]()

    def look(self) -> dict[str, Any]:
        self._now = self._reader.read(self._thing, self._paths)
        return self._now

    def change(self) -> dict[str, Any]:
        """Wait up to a second for a change."""
        Filter = vmodl.query.PropertyCollector
        try:
            if self._collector is None:  # its updates are this object's alone
                self._collector, self._version = self._reader.content.propertyCollector.CreatePropertyCollector(), ""
                wanted = Filter.PropertySpec(type=type(self._thing), pathSet=self._paths)
                self._collector.CreateFilter(
                    Filter.FilterSpec(objectSet=[Filter.ObjectSpec(obj=self._thing)], propSet=[wanted]), False
                )
            update = self._collector.WaitForUpdatesEx(self._version, Filter.WaitOptions(maxWaitSeconds=1))
        except vmodl.fault.ManagedObjectNotFound as gone:
            if gone.obj == self._thing:
                raise
            self._collector = None  # it went with the session that expired; the object did not
            return self.look()
        for change in (c for s in (update.filterSet if update else ()) for o in s.objectSet for c in o.changeSet):
            self._now[change.name] = change.val
        self._version = update.version if update else self._version
        return self._now

    def close(self) -> None:
        if self._collector is not None:
            with suppress(vmodl.MethodFault, OSError):
                self._collector.DestroyPropertyCollector()


__all__ = ["wait", "wait_for_value"]
