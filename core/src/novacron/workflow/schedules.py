"""Flows that begin by themselves, at times that a cron expression gives; a worker runs them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from novacron.errors import AlreadyExistsError, InvalidSpecError, NotFoundError, SpecProblem
from novacron.units import parse_duration
from novacron.workflow.composition import Workflow, reference
from novacron.workflow.nodes import EachNode, OnFailureNode, VMRef

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.workflow.run.runs import RunRecord

Misfire = Literal["skip", "once", "all"]
LATE = timedelta(seconds=60)
"""How late a run may begin before it counts as missed."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A flow and when it begins by itself.

    Attributes:
        cron: five fields, or six with seconds first, in the time zone.
        vms: the VMs it is for; or those that have the tag `tag` on the `hosts` when it begins.
        hosts: hosts by name, with their URIs.
        misfire: what becomes of times at which no worker was up: "skip" them, do the latest "once", or "all".
        jitter: up to how many seconds later it may begin.
    """

    name: str
    cron: str
    flow: dict[str, Any]
    timezone: str = "UTC"
    vms: tuple[VMRef, ...] = ()
    tag: str | None = None
    hosts: dict[str, str] = msgspec.field(default_factory=dict)
    misfire: Misfire = "skip"
    jitter: float = 0.0
    max_parallel: int = 4
    paused: bool = False

    def next(self, count: int = 1, after: datetime | None = None) -> tuple[datetime, ...]:
        """Return the next times, in the schedule's time zone."""
        from croniter import croniter

        begin = (after or datetime.now(UTC)).astimezone(ZoneInfo(self.timezone))
        times = croniter(self.cron, begin, second_at_beginning=True)
        return tuple(times.get_next(datetime) for _ in range(count))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, with the flow in words and the next three times."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        words = Workflow.from_dict(self.flow).description
        return plain | {"flow": words, "next": [] if self.paused else [at.isoformat() for at in self.next(3)]}


class Schedules:
    """The schedules in the state database, `fleet.schedules`. Workers (`novacron worker`) begin and run what is due."""

    def __repr__(self) -> str:
        return "<schedules>"

    def add(
        self,
        name: str,
        flow: Workflow,
        *,
        cron: str,
        timezone: str = "UTC",
        vms: Iterable[VMHandle] = (),
        tag: str | None = None,
        hosts: dict[str, str] | None = None,
        misfire: Misfire = "skip",
        jitter: float | str | timedelta = 0.0,
        max_parallel: int = 4,
        replace: bool = False,
    ) -> Schedule:
        """Let a flow begin at the times of `cron`, for some VMs or for all that then have a tag.

        Args:
            hosts: names and URIs of the hosts whose VMs with the tag are meant; the fleet's when None.

        Raises:
            InvalidSpecError: lists every bad field.
            WorkflowError: the flow has functions that no other process could find.
            AlreadyExistsError: there is a schedule of that name, unless `replace`.
        """
        handles = list(vms)
        problems = _problems(name, cron, timezone, misfire, handles, tag)
        if problems:
            raise InvalidSpecError("invalid schedule", problems=problems)
        where = {vm.host.name: vm.host.uri for vm in handles} | {h.name: h.uri for h in flow.hosts.values()}
        made = Schedule(
            name=name, cron=cron, flow=flow.as_dict(), timezone=timezone, vms=tuple(reference(vm) for vm in handles), tag=tag,
            hosts=where | (hosts or {}), misfire=misfire, jitter=parse_duration(jitter), max_parallel=max_parallel,
        )  # fmt: skip
        dbos, run_schedule = self._dbos()
        if dbos.get_schedule(name) is not None:
            if not replace:
                raise AlreadyExistsError(f"there is a schedule {name!r}", resource=name, hint="replace it, or give another name")
            dbos.delete_schedule(name)
        from novacron.workflow.run.durable import QUEUE

        dbos.create_schedule(
            schedule_name=name, workflow_fn=run_schedule, schedule=cron, context=msgspec.to_builtins(made), cron_timezone=timezone,
            queue_name=QUEUE, automatic_backfill=misfire != "skip",
        )  # fmt: skip
        return made

    def history(self, name: str, limit: int = 20) -> list[RunRecord]:
        """Return the runs of a schedule, the latest first."""
        from novacron.workflow.run.runs import Runs

        return Runs().list(begins=f"{name}@", limit=limit)

    def list(self) -> list[Schedule]:
        """Return all schedules, by name."""
        return sorted((_schedule(known) for known in self._dbos()[0].list_schedules()), key=lambda s: s.name)

    def __getitem__(self, name: str) -> Schedule:
        """Return a schedule. Raises NotFoundError."""
        known = self._dbos()[0].get_schedule(name)
        if known is None:
            raise NotFoundError(f"there is no schedule {name!r}", resource=name, hint="novacron schedule list shows them")
        return _schedule(known)

    def pause(self, name: str) -> None:
        """Let it begin no more until it is resumed. Raises NotFoundError."""
        self[name]
        self._dbos()[0].pause_schedule(name)

    def resume(self, name: str) -> None:
        """Let a paused schedule begin again. Raises NotFoundError."""
        self[name]
        self._dbos()[0].resume_schedule(name)

    def remove(self, name: str) -> None:
        """Forget a schedule; its runs stay on record. Raises NotFoundError."""
        self[name]
        self._dbos()[0].delete_schedule(name)

    def _dbos(self) -> tuple[Any, Any]:
        from dbos import DBOS

        from novacron.workflow.run.durable import durable_engine, run_schedule

        durable_engine().launch()
        return DBOS, run_schedule


def begin(schedule: Schedule, due: datetime, now: datetime) -> str | None:
    """Give the queue what a schedule has due; return the run's id, the same one whoever calls this; None when it is let go.

    Raises:
        NovaCronError: a host's VMs can't be listed.
    """
    from novacron.workflow.run.durable import durable_engine

    if schedule.misfire == "skip" and now - due > LATE + timedelta(seconds=schedule.jitter):
        return None
    if schedule.misfire == "once" and now - due > LATE and schedule.next(after=due)[0] <= now:
        return None  # a later one was missed too, or is due
    vms = schedule.vms or tuple(_tagged(schedule))
    if not vms:
        return None
    flow = Workflow.from_dict(schedule.flow)
    each = EachNode(body=flow.node, vms=vms, max_parallel=schedule.max_parallel)
    whole = flow if len(vms) == 1 else Workflow(OnFailureNode(body=each, action="stop"))
    whole.name = schedule.name
    run_id = f"{schedule.name}@{due.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    return durable_engine().submit(whole, list(vms), schedule.hosts, run_id=run_id)


def delay(schedule: Schedule, due: datetime) -> float:
    """Return by how many seconds a beginning is put off, the same for whoever asks."""
    return random.Random(f"{schedule.name}{due.isoformat()}").uniform(0, schedule.jitter)  # noqa: S311 - no secret


def _tagged(schedule: Schedule) -> Iterable[VMRef]:
    from novacron.site import fleet
    from novacron.workflow.hosts import Hosts

    names = list(schedule.hosts) or [host.name for host in fleet().list()]
    hosts = Hosts(uris=schedule.hosts)
    try:
        for name in names:
            for vm in hosts[name].vms.list(tag=schedule.tag):
                yield VMRef(name, vm.id, vm.name)
    finally:
        hosts.close()


def _schedule(known: Any) -> Schedule:
    made = msgspec.convert(known["context"], Schedule)
    return msgspec.structs.replace(made, paused=known["status"] != "ACTIVE")


def _problems(name: str, cron: str, timezone: str, misfire: str, vms: list[Any], tag: str | None) -> list[SpecProblem]:
    from croniter import croniter

    problems = []
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name):
        problems.append(SpecProblem("name", name, "1 to 64 letters, digits, `_ . -`"))
    if not croniter.is_valid(cron, second_at_beginning=True):
        problems.append(SpecProblem("cron", cron, "minute hour day month weekday, such as `0 3 * * *`"))
    try:
        ZoneInfo(timezone)
    except (ValueError, OSError, LookupError):
        problems.append(SpecProblem("timezone", timezone, "a name such as Europe/Berlin"))
    if misfire not in ("skip", "once", "all"):
        problems.append(SpecProblem("misfire", misfire, "'skip', 'once' or 'all'"))
    if bool(vms) == (tag is not None):
        problems.append(SpecProblem("vms", str(len(vms)), "VMs, or a tag"))
    return problems


__all__ = ["LATE", "Misfire", "Schedule", "Schedules", "begin", "delay"]
