"""Flows that begin by themselves, at times that a cron expression gives; a worker runs them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from novacron.conversion import convert
from novacron.errors import AlreadyExistsError, InvalidSpecError, NovaCronError, SpecProblem
from novacron.handles.collection import Collection
from novacron.units import parse_duration
from novacron.workflow.clashes import refuse_clashes
from novacron.workflow.composition import Workflow, distinct, reference
from novacron.workflow.cron import FORM, times_after
from novacron.workflow.nodes import StepNode, VMRef, all_nodes

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.store.schedules import ScheduledTime, StoredSchedule
    from novacron.workflow.run.durable import DurableEngine
    from novacron.workflow.run.runs import RunRecord

Misfire = Literal["skip", "once", "all"]


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A flow and when it begins by itself.

    Attributes:
        cron: five fields, or six with seconds first, in the time zone.
        vms: the VMs it is for; or those that have the tag `tag` on the `hosts` when it begins.
        hosts: hosts by name, with their URIs.
        misfire: what becomes of times at which no worker was up: "skip" them, do the latest "once", or "all", at most the latest 100.
        jitter: up to how many seconds later it may begin.
        actor: who asked for it.
        problem: why it could not begin last time, None if it could.
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
    actor: str = ""
    problem: str | None = None

    def next(self, count: int = 1, after: datetime | None = None) -> tuple[datetime, ...]:
        """Return the next times, in the schedule's time zone. Raises InvalidSpecError if it has none."""
        return tuple(islice(times_after(self.cron, self.timezone, after or datetime.now(UTC)), count))

    def definition(self) -> dict[str, Any]:
        """Return what is stored of it, as plain values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return {name: value for name, value in plain.items() if name not in ("name", "paused", "actor", "problem")}

    @property
    def words(self) -> str:
        """The flow on one line; "?" if it can't be read."""
        try:
            return Workflow.from_dict(self.flow).description
        except NovaCronError:
            return "?"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, with the flow in words and the next three times. Never fails for a schedule that can't be read."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        try:
            times = [] if self.paused else [at.isoformat() for at in self.next(3)]
        except NovaCronError as error:
            times, plain["problem"] = [], str(error)
        except (ValueError, KeyError, OSError) as error:  # the time zone
            times, plain["problem"] = [], f"{type(error).__name__}: {error}"
        return plain | {"flow": self.words, "next": times}


def read_schedule(stored: StoredSchedule) -> Schedule:
    """Return the schedule of a row. One that can't be read has no flow, and says why in `problem`."""
    known = {"name": stored.name, "paused": stored.paused, "actor": stored.actor, "problem": stored.problem}
    try:
        return convert({**stored.definition, **known}, Schedule)
    except (msgspec.ValidationError, TypeError) as error:
        text = f"it can't be read: {error}"
        return Schedule(name=stored.name, cron="", flow={}, paused=stored.paused, actor=stored.actor, problem=text)


class Schedules(Collection[Schedule]):
    """The schedules in the state database, `fleet.schedules`. Workers (`novacron worker`) begin and run what is due."""

    def __init__(self, engine: DurableEngine | None = None) -> None:
        if engine is None:
            from novacron.workflow.defaults import default_site

            engine = default_site().engine
        self._engine, self._store = engine, engine.schedules

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
        handles = distinct(vms)
        flow.check_code()
        refuse_clashes(flow, map(reference, handles) if handles else [VMRef("", "", f"a VM with the tag {tag}")])
        problems = _problems(name, cron, timezone, misfire, handles, tag, max_parallel)
        if problems:
            raise InvalidSpecError("invalid schedule", problems=problems)
        where = {vm.host.name: vm.host.uri for vm in handles} | {h.name: h.uri for h in flow.hosts.values()}
        made = Schedule(
            name=name,
            cron=cron,
            flow=flow.as_dict(),
            timezone=timezone,
            vms=tuple(reference(vm) for vm in handles),
            tag=tag,
            hosts=where | (hosts or {}),
            misfire=misfire,
            jitter=parse_duration(jitter),
            max_parallel=max_parallel,
            actor=self._engine.actor,
        )
        made.next()
        kinds = sorted({node.kind for node in all_nodes(flow.node) if isinstance(node, StepNode)})
        with self._engine.recording("schedule_add", name, cron=cron, steps=kinds, replace=replace):
            if not self._store.put(name, made.definition(), made.actor, replace=replace):
                raise AlreadyExistsError(f"there is a schedule {name!r}", resource=name, hint="replace it, or use another name")
        return made

    def history(self, name: str, limit: int = 20) -> list[RunRecord]:
        """Return the runs of a schedule, the latest first."""
        from novacron.workflow.run.runs import Runs

        return Runs(self._engine).list(begins=f"{name}@", limit=limit)

    def times(self, name: str, limit: int = 20) -> tuple[ScheduledTime, ...]:
        """Return the times that were dealt with, the latest first: the run that began, or why none did. Raises NotFoundError."""
        self[name]
        return tuple(self._store.times(name, limit))

    def list(self) -> list[Schedule]:
        """Return all schedules, sorted by name. One that can't be read says so in `problem`."""
        return [read_schedule(stored) for stored in self._store.list()]

    def _all(self) -> Sequence[Schedule]:
        return self.list()

    def _find(self, name: str) -> Schedule:
        """Return a schedule. Raises NotFoundError."""
        return read_schedule(self._store.get(name))

    def pause(self, name: str) -> None:
        """Let it begin no more until it is resumed. Raises NotFoundError."""
        with self._engine.recording("schedule_pause", name):
            self._store.pause(name, paused=True)

    def resume(self, name: str) -> None:
        """Let a paused schedule begin again, at the next time that comes. Raises NotFoundError."""
        with self._engine.recording("schedule_resume", name):
            self._store.pause(name, paused=False)

    def remove(self, name: str) -> None:
        """Delete a schedule; its runs stay on record. Raises NotFoundError."""
        with self._engine.recording("schedule_remove", name):
            self._store.remove(name)

    def prune(self, older_than: float | str | timedelta) -> int:
        """Delete what became of times that were dealt with longer ago than that; return how many."""
        with self._engine.recording("schedule_prune", None, older_than=older_than):
            return self._store.prune(parse_duration(older_than))


def _problems(
    name: str, cron: str, timezone: str, misfire: str, vms: list[Any], tag: str | None, max_parallel: int
) -> list[SpecProblem]:
    from croniter import croniter

    problems = []
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name):
        problems.append(SpecProblem("name", name, "1 to 64 letters, digits, `_ . -`"))
    if not croniter.is_valid(cron, second_at_beginning=True):
        problems.append(SpecProblem("cron", cron, FORM))
    try:
        ZoneInfo(timezone)
    except (ValueError, OSError, LookupError):
        problems.append(SpecProblem("timezone", timezone, "a name such as Europe/Berlin"))
    if misfire not in ("skip", "once", "all"):
        problems.append(SpecProblem("misfire", misfire, "'skip', 'once' or 'all'"))
    if max_parallel < 1:
        problems.append(SpecProblem("max_parallel", str(max_parallel), "a whole number of at least 1"))
    if bool(vms) == (tag is not None):
        problems.append(SpecProblem("vms", str(len(vms)), "VMs, or a tag"))
    return problems


__all__ = ["Misfire", "Schedule", "Schedules", "read_schedule"]
