"""Tasks and events: list, follow, cancel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

from novacron.errors import InvalidStateError, NotFoundError, NovaCronError
from novacron.units import parse_duration
from novacron_vmware.errors import translated
from novacron_vmware.names import plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import ServerEvent, ServerTask
from novacron_vmware.sdk import vim, vmodl

SUBJECTS = ("vm", "host", "computeResource", "ds", "net", "dvs", "datacenter")
"""What an event is about: the first of these that it names."""
ENDED = ("success", "error")
MOST = 1000
"""Entries of a history at most; the server's pages have as many."""


class VSphereHistory(NativeOperations):
    """Tasks and events."""

    @vsphere.operation(kind="read")
    def task_list(self, object: str = "", state: str = "", most: int = 100) -> list[ServerTask]:
        """List tasks, the newest first.

        Args:
            object: only tasks of this object and what is below it.
            state: queued, running, success or error.
            most: how many at most.
        """
        spec = vim.TaskFilterSpec(state=[state] if state else None)
        if object:
            spec.entity = vim.TaskFilterSpec.ByEntity(entity=self._any(object), recursion="all")
        with translated("tasks"):
            history = self._manager("taskManager", "tasks").CreateCollectorForTasks(spec)
            try:
                history.SetCollectorPageSize(min(max(most, 1), MOST))
                found = self._connection.read(history, ["latestPage"]).get("latestPage") or []
            finally:
                history.DestroyCollector()
        chosen = [info for info in found if state in ("", str(info.state))]
        names = self._names({info.entity for info in chosen if info.entity is not None})
        tasks = [_task(info, names.get(info.entity)) for info in chosen]
        return sorted(tasks, key=lambda task: (task.started_at or "", task.id), reverse=True)[:most]

    def _names(self, things: set[Any]) -> dict[Any, str]:
        """Return the names of objects; none if one of them is gone."""
        try:
            found = self._connection.read_all(list(things), vim.ManagedEntity, ["name"])
        except NovaCronError:
            return {}
        return {thing: str(read["name"]) for thing, read in found if "name" in read}

    @vsphere.operation(kind="read", timeout=3600.0)
    def task_follow(self, seconds: float = 60.0) -> Iterator[ServerTask]:
        """Report each task when it begins, and when its state changes.

        Args:
            seconds: for how long.
        """
        return self._followed(seconds)

    @vsphere.operation(kind="change")
    def task_cancel(self, task: str) -> ServerTask:
        """Cancel a task, given by its id. A task that can't be cancelled is refused."""
        thing = vim.Task(task.partition(":")[2] or task, self._connection.session)
        info = self._info(thing, task)
        if str(info.state) in ENDED:
            raise InvalidStateError(f"the task {task!r} has ended: {info.state}", resource=task)
        with translated(task):
            thing.CancelTask()
        return _task(self._info(thing, task))

    @vsphere.operation(kind="read")
    def event_list(
        self, object: str = "", kind: tuple[str, ...] = (), most: int = 100, newer_than: str = ""
    ) -> list[ServerEvent]:
        """List events of the server's history, the newest first.

        Args:
            object: only events of this object and what is below it.
            kind: vSphere's types, such as VmPoweredOnEvent; can be repeated.
            most: how many at most.
            newer_than: only events of this last time, such as 1d or 12h, by the server's clock.
        """
        spec = vim.event.EventFilterSpec(eventTypeId=list(kind) or None)
        if newer_than:
            with translated("events"):
                now = vim.ServiceInstance("ServiceInstance", self._connection.session).CurrentTime()
            spec.time = vim.event.EventFilterSpec.ByTime(beginTime=now - timedelta(seconds=parse_duration(newer_than)))
        if object:
            spec.entity = vim.event.EventFilterSpec.ByEntity(entity=self._any(object), recursion="all")
        with translated("events"):
            history = self._manager("eventManager", "events").CreateCollectorForEvents(spec)
            try:
                history.SetCollectorPageSize(min(max(most, 1), MOST))
                found = self._connection.read(history, ["latestPage"]).get("latestPage") or []
            finally:
                history.DestroyCollector()
        return sorted(map(_event, found), key=lambda event: event.key, reverse=True)[:most]

    def _info(self, thing: Any, task: str) -> Any:
        try:
            with translated(task):
                return self._connection.read(thing, ["info"])["info"]
        except Exception as error:
            if isinstance(error.__cause__, vmodl.fault.ManagedObjectNotFound):
                raise NotFoundError(
                    f"no task {task!r}", resource=task, hint="the server forgets tasks that ended long ago"
                ) from error
            raise

    def _followed(self, seconds: float) -> Iterator[ServerTask]:
        import time

        Filter, content = vmodl.query.PropertyCollector, self._connection.content
        collector = content.propertyCollector.CreatePropertyCollector()
        try:
            walk = Filter.TraversalSpec(type=vim.TaskManager, path="recentTask", skip=False)
            start = Filter.ObjectSpec(obj=content.taskManager, skip=True, selectSet=[walk])
            wanted = Filter.PropertySpec(type=vim.Task, pathSet=["info"])
            collector.CreateFilter(Filter.FilterSpec(objectSet=[start], propSet=[wanted]), False)
            version, end, states = "", time.monotonic() + seconds, dict[str, str]()
            while (left := end - time.monotonic()) > 0:
                update = collector.WaitForUpdatesEx(version, Filter.WaitOptions(maxWaitSeconds=max(1, min(10, int(left)))))
                for change in (c for s in (update.filterSet if update else ()) for o in s.objectSet for c in o.changeSet):
                    if isinstance(change.val, vim.TaskInfo) and states.get(change.val.key) != str(change.val.state):
                        states[change.val.key] = str(change.val.state)
                        yield _task(change.val)
                version = update.version if update else version
        finally:
            with suppress(vmodl.MethodFault, OSError):
                collector.DestroyPropertyCollector()


def _task(info: Any, name: str | None = None) -> ServerTask:
    reason, name = info.reason, name or info.entityName
    return ServerTask(
        id=info.key,
        operation=info.descriptionId or info.name or "",
        object=plain_name(name) if name else None,
        state=str(info.state),
        progress=info.progress,
        user=getattr(reason, "userName", None),
        started_at=time_of(info.startTime or info.queueTime),
        ended_at=time_of(info.completeTime),
        error=(getattr(info.error, "msg", None) or type(info.error).__name__) if info.error else None,
    )


def _event(event: Any) -> ServerEvent:
    named = next((getattr(event, kind) for kind in SUBJECTS if getattr(event, kind, None)), None)
    return ServerEvent(
        at=time_of(event.createdTime) or "",
        kind=getattr(event, "eventTypeId", None) or type(event).__name__.rpartition(".")[2],
        object=plain_name(named.name) if named is not None else None,
        user=event.userName or None,
        text=(event.fullFormattedMessage or "").strip(),
        key=event.key,
    )


def time_of(moment: Any) -> str | None:
    """Return a time of vSphere's as text; None for none."""
    return moment.isoformat() if moment else None


__all__ = ["VSphereHistory", "time_of"]
