"""Alarms: list, acknowledge, define, change, delete."""

from __future__ import annotations

from typing import Any, Literal

from novacron.errors import AlreadyExistsError, InvalidSpecError, NotFoundError, SpecProblem
from novacron.records.vm import Deleted
from novacron_vmware.errors import translated
from novacron_vmware.metrics.counters import counter_ids
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.history import time_of
from novacron_vmware.native.records import Alarm
from novacron_vmware.sdk import vim

KINDS = {
    "vm": vim.VirtualMachine,
    "node": vim.HostSystem,
    "cluster": vim.ClusterComputeResource,
    "datastore": vim.Datastore,
    "network": vim.Network,
    "datacenter": vim.Datacenter,
}
Kind = Literal["vm", "node", "cluster", "datastore", "network", "datacenter"]


class VSphereAlarms(NativeOperations):
    """Alarms: those that are raised, and their definitions."""

    @vsphere.operation(kind="read")
    def alarm_list(self, object: str = "") -> list[Alarm]:
        """List the alarms that are raised.

        Args:
            object: only alarms of this object and what is below it.
        """
        thing = self._any(object) if object else self._connection.content.rootFolder
        states = self._connection.read(thing, ["triggeredAlarmState"]).get("triggeredAlarmState") or []
        infos = dict(self._connection.read_all(list({state.alarm for state in states}), vim.alarm.Alarm, ["info"]))
        paths = self._connection.finder.paths(list({state.entity for state in states}))
        return [_alarm(state, infos.get(state.alarm, {}).get("info"), paths.get(state.entity)) for state in states]

    @vsphere.operation(kind="read")
    def alarm_definitions(self) -> list[Alarm]:
        """List the alarms that are defined, raised or not."""
        with translated("alarms"):
            known = self._manager("alarmManager", "alarms").GetAlarm(None)
        infos = [read["info"] for _, read in self._connection.read_all(list(known), vim.alarm.Alarm, ["info"])]
        return sorted((_alarm(None, info, None) for info in infos), key=lambda alarm: alarm.name)

    @vsphere.operation(kind="change", idempotent=True)
    def alarm_acknowledge(self, alarm: str, object: str) -> list[Alarm]:
        """Acknowledge an alarm, so that nobody else has to look at it. It stays raised.

        Args:
            alarm: its name or id.
            object: the object that raised it.
        """
        thing = self._any(object)
        for state in self._connection.read(thing, ["triggeredAlarmState"]).get("triggeredAlarmState") or []:
            info = self._connection.read(state.alarm, ["info"])["info"]
            if alarm in (info.name, state.alarm._moId, state.key) and state.entity == thing:
                with translated(alarm):
                    self._manager("alarmManager", "alarms").AcknowledgeAlarm(state.alarm, thing)
                return [each for each in self.alarm_list(object) if each.name == info.name]
        raise NotFoundError(
            f"{object!r} has not raised the alarm {alarm!r}", resource=alarm, hint="list the alarms that are raised"
        )

    @vsphere.operation(kind="change")
    def alarm_create(
        self,
        name: str,
        object: str = "",
        kind: Kind = "vm",
        description: str = "",
        event: tuple[str, ...] = (),
        clear: tuple[str, ...] = (),
        status: Literal["yellow", "red"] = "red",
        metric: str = "",
        yellow: float | None = None,
        red: float | None = None,
        below: bool = False,
    ) -> Alarm:
        """Define an alarm, which events raise and clear, or a metric's value.

        Args:
            name: its name.
            object: it watches this object and what is below it; the whole inventory by default.
            kind: the kind of the objects that it watches.
            description: what it is for.
            event: the type of an event that raises it, such as VmPoweredOffEvent; can be repeated.
            clear: the type of an event that clears it; can be repeated.
            status: how severe it is when an event raises it.
            metric: the counter that raises it, such as cpu.usage.average.
            yellow: the metric's value from which on it is yellow, in the counter's unit (percentages in hundredths).
            red: the metric's value from which on it is red.
            below: raise it when the metric is below these values, not above.
        """
        if bool(event) == bool(metric) or (metric and yellow is None and red is None):
            problem = SpecProblem("event", ", ".join(event) or metric or "missing", "events, or a metric with yellow or red")
            raise InvalidSpecError("an alarm needs what raises it", resource=name, problems=[problem])
        if any(each.name == name for each in self.alarm_definitions()):
            raise AlreadyExistsError(f"an alarm {name!r} is already defined", resource=name, hint="give another name")
        watched = self._any(object) if object else self._connection.content.rootFolder
        if event:
            raising = [_event_expression(each, KINDS[kind], status) for each in event]
            parts = [*raising, *(_event_expression(each, KINDS[kind], "green") for each in clear)]
        else:
            parts = [self._metric_expression(name, metric, KINDS[kind], yellow, red, below=below)]
        spec = vim.alarm.AlarmSpec(
            name=name,
            description=description,
            enabled=True,
            expression=vim.alarm.OrAlarmExpression(expression=parts),
            setting=vim.alarm.AlarmSetting(toleranceRange=0, reportingFrequency=300),
        )
        with translated(name):
            made = self._manager("alarmManager", "alarms").CreateAlarm(watched, spec)
        return self._defined(made)

    @vsphere.operation(kind="change", idempotent=True, locks="alarm")
    def alarm_update(self, alarm: str, enabled: bool | None = None, description: str | None = None) -> Alarm:
        """Switch the definition of an alarm on or off, or change its description.

        Args:
            alarm: its name or id.
            enabled: whether it is raised at all.
            description: what it is for.
        """
        thing, info = self._definition(alarm)
        spec = vim.alarm.AlarmSpec(
            name=info.name,
            description=info.description if description is None else description,
            enabled=info.enabled if enabled is None else enabled,
            expression=info.expression,
            action=info.action,
            actionFrequency=info.actionFrequency,
            setting=info.setting,
        )
        with translated(alarm):
            thing.ReconfigureAlarm(spec)
        return self._defined(thing)

    @vsphere.operation(kind="change", destroys=True)
    def alarm_delete(self, alarm: str) -> Deleted:
        """Delete the definition of an alarm, given by its name or id. It is cleared wherever it is raised."""
        thing, info = self._definition(alarm)
        with translated(alarm):
            thing.RemoveAlarm()
        return Deleted(name=info.name, id=thing._moId)

    def _definition(self, alarm: str) -> tuple[Any, Any]:
        with translated("alarms"):
            known = self._manager("alarmManager", "alarms").GetAlarm(None)
        infos = [(thing, read["info"]) for thing, read in self._connection.read_all(list(known), vim.alarm.Alarm, ["info"])]
        for thing, info in infos:
            if alarm in (info.name, thing._moId):
                return thing, info
        raise NotFoundError(f"no alarm {alarm!r} is defined", resource=alarm, hint="list the definitions of alarms")

    def _defined(self, thing: Any) -> Alarm:
        return _alarm(None, self._connection.read(thing, ["info"])["info"], None)

    def _metric_expression(
        self, name: str, metric: str, kind: Any, yellow: float | None, red: float | None, *, below: bool
    ) -> Any:
        ids = counter_ids(self._connection)
        if metric not in ids:
            problem = SpecProblem("metric", metric, "a counter, such as cpu.usage.average")
            raise InvalidSpecError("no such counter", resource=name, problems=[problem], hint="list the metrics of an object")
        return vim.alarm.MetricAlarmExpression(
            operator="isBelow" if below else "isAbove",
            type=kind,
            metric=vim.PerformanceManager.MetricId(counterId=ids[metric], instance=""),
            yellow=None if yellow is None else int(yellow),
            red=None if red is None else int(red),
        )


def _event_expression(event: str, kind: Any, status: str) -> Any:
    """Return what lets an event change an alarm. A name that is no type of vSphere's API is the id of an extended event."""
    known = getattr(vim.event, event, None) if event.isidentifier() else None
    if isinstance(known, type) and issubclass(known, vim.event.Event):
        return vim.alarm.EventAlarmExpression(eventType=known, eventTypeId=f"vim.event.{event}", objectType=kind, status=status)
    return vim.alarm.EventAlarmExpression(eventType=vim.event.EventEx, eventTypeId=event, objectType=kind, status=status)


def _alarm(state: Any, info: Any, path: str | None) -> Alarm:
    return Alarm(
        name=info.name if info is not None else "",
        status=str(state.overallStatus) if state is not None else "",
        object=path,
        acknowledged=bool(state is not None and state.acknowledged),
        by=getattr(state, "acknowledgedByUser", None) or None,
        at=time_of(state.time) if state is not None else None,
        description=info.description if info is not None else "",
        id=info.alarm._moId if info is not None else "",
        enabled=bool(info is None or info.enabled),
    )


__all__ = ["VSphereAlarms"]
