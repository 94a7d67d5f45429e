"""Flows that alerts begin, such as growing a disk or moving a VM away. Each has limits, and is audited with who asked for it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from novacron.errors import InvalidSpecError, InvalidStateError, NovaCronError, SpecProblem, WorkflowError
from novacron.identity import Identity
from novacron.monitoring.alerting.templates import fill
from novacron.records.alerts import Alert, Notification
from novacron.redaction import described, without_quotations
from novacron.workflow.composition import Workflow, reference

if TYPE_CHECKING:
    from novacron.dispatch.audit import AuditLog
    from novacron.handles.vm import VMHandle
    from novacron.workflow.flows import Flows
    from novacron.workflow.run.durable import DurableEngine

PER_HOUR, AT_MOST = 3, 1
"""How many runs a sink begins in an hour, and for how many VMs of a host at once, unless it says otherwise."""
HOUR = 3600.0
PREFIX = "alert-"


class AlertActions:
    """Begins flows for the VMs of alerts. A worker (`novacron worker`) runs them.

    The id of a run follows from the alert, so that a notification that is delivered twice begins one run. An alert begins no second run
    while a run of it has not ended, and none within an hour.

    Args:
        engine: returns what the runs are submitted to.
        flows: returns the registered flows. An alert can begin no other ones.
        fleet: returns the fleet, which finds the VMs.
        firing: returns the alerts that fire now, by fingerprint.
        audit: where each run that begins is recorded.
    """

    def __init__(
        self,
        engine: Callable[[], DurableEngine],
        flows: Callable[[], Flows],
        fleet: Callable[[], Any],
        firing: Callable[[], Mapping[str, Alert]],
        audit: AuditLog,
    ) -> None:
        self._engine, self._flows, self._fleet, self._firing, self._audit = engine, flows, fleet, firing, audit
        self._guard = threading.Lock()

    def check(self, sink: Mapping[str, Any], field: str) -> list[SpecProblem]:
        """Return what is wrong with the flow of a sink: it is not registered, or has other parameters."""
        try:
            flow = self._flows()[sink["flow"]]
        except WorkflowError:
            return [SpecProblem(f"{field}.flow", described(sink["flow"]), "one of " + ", ".join(self._flows().names()))]
        arguments = sink.get("arguments") or {}
        if any("{{" in str(value) for value in arguments.values()):
            unknown = set(arguments) - set(flow.parameters)
            return [
                SpecProblem(f"{field}.arguments.{name}", name, f"parameters of the flow: {flow.usage}")
                for name in sorted(unknown)
            ]
        try:
            flow(**arguments)
        except InvalidSpecError as error:
            return [SpecProblem(f"{field}.arguments.{one.path}", one.given, one.allowed) for one in error.problems]
        except NovaCronError as error:
            return [SpecProblem(f"{field}.arguments", described(arguments), without_quotations(str(error)))]
        return []

    def begin(self, sink: Mapping[str, Any], notification: Notification) -> None:
        """Begin the flow of a sink for each alert of a notification that still fires.

        Raises:
            InvalidStateError: the limit of runs in an hour is reached. It is tried again while the alert fires.
            NovaCronError: the VM is not found, or the flow can't be composed.
        """
        with self._guard:
            current, failed = self._firing(), None
            for alert in notification.alerts:
                known = current.get(alert.fingerprint)
                if alert.state != "firing" or known is None or known.fired_at != alert.fired_at:
                    continue
                try:
                    self._begin(sink, alert)
                except NovaCronError as error:
                    failed = failed or error
            if failed is not None:
                raise failed

    def _begin(self, sink: Mapping[str, Any], alert: Alert) -> None:
        engine, now = self._engine(), self._engine().schedules.now()
        mine = _digest(sink)
        known = [run for run in engine.runs.latest(begins=f"{PREFIX}{alert.fingerprint}-") if run.id.endswith(mine)]
        if any(run.ended_at is None or run.created_at > now - HOUR for run in known):
            return
        recent = [run for run in engine.runs.latest(1000, begins=PREFIX) if run.id.endswith(mine) and run.created_at > now - HOUR]
        limit = sink.get("per_hour", PER_HOUR)
        if len(recent) >= limit:
            raise InvalidStateError(
                f"the flow {sink['flow']!r} was begun {len(recent)} times in the last hour, the limit is {limit}",
                hint="it begins later if the alert still fires; per_hour sets the limit",
            )
        vms, flow = self._vms(sink, alert), self._composed(sink, alert)
        whole = flow if len(vms) == 1 else flow.each(vms, max_parallel=1)
        run_id = f"{PREFIX}{alert.fingerprint}-{int((alert.fired_at or 0.0) * 1000):x}-{mine}"
        hosts = {vm.host.name: vm.host.uri for vm in vms}
        new = engine.new_run(whole, [reference(vm) for vm in vms], hosts, str(sink.get("actor") or engine.actor), run_id)
        try:
            engine.runs.create(msgspec.structs.replace(new, name=f"{sink['flow']} ({alert.rule})"))
        except sa.exc.IntegrityError:
            return  # another process has begun it
        identity = Identity(engine.executor).acting_for(new.actor)
        arguments = {"flow": sink["flow"], "alert": alert.rule, "fingerprint": alert.fingerprint, "run": run_id}
        for vm in vms:
            self._audit.write("alert_flow", identity, host=vm.host.name, resource=vm.name, arguments=arguments)

    def _composed(self, sink: Mapping[str, Any], alert: Alert) -> Workflow:
        given = sink.get("arguments") or {}
        arguments = {name: fill(v, alert.labels, alert.value or 0.0) if isinstance(v, str) else v for name, v in given.items()}
        flow = self._flows()[sink["flow"]](**arguments)
        flow.check_code()
        return flow

    def _vms(self, sink: Mapping[str, Any], alert: Alert) -> Sequence[VMHandle]:
        """Return the VM of the alert; for an alert about a host, running VMs of it that have the sink's tag."""
        if "vm" in alert.labels:
            return [self._fleet().vms.find(alert.labels["vm"])]
        if "host" not in alert.labels or not sink.get("tag"):
            problem = SpecProblem("tag", "missing", "a tag, for alerts about a host; other alerts need the label vm")
            raise InvalidSpecError(f"the alert {alert.rule!r} is not about a VM", problems=[problem])
        host, most = self._fleet().hosts[alert.labels["host"]], sink.get("at_most", AT_MOST)
        found: list[VMHandle] = [*host.vms.list(tag=sink["tag"], status="running", limit=most)]
        if not found:
            raise InvalidStateError(
                f"no running VM of {host.name} has the tag {sink['tag']!r}", hint="tag those that may be moved"
            )
        return found


def _digest(sink: Mapping[str, Any]) -> str:
    named = json.dumps([sink["flow"], sink.get("arguments"), sink.get("tag")], sort_keys=True, default=str)
    return hashlib.sha256(named.encode()).hexdigest()[:8]


__all__ = ["AlertActions"]
