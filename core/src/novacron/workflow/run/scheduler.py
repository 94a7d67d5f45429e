"""Begins what schedules have due, once among all workers, by the clock of the database."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

import msgspec

from novacron.errors import NovaCronError, VMNotFoundError
from novacron.store.schedules import StoredSchedule
from novacron.workflow.composition import Workflow, once_each
from novacron.workflow.cron import latest_until, times_after, times_until
from novacron.workflow.hosts import Hosts, default_resolver
from novacron.workflow.nodes import EachNode, OnFailureNode, VMRef
from novacron.workflow.schedules import Schedule, read_schedule

if TYPE_CHECKING:
    from novacron.workflow.run.durable import DurableEngine

LATE = timedelta(seconds=60)
"""How late a run may begin before its time counts as missed, and how long a host that can't be reached is tried again."""
ALSO_ELSEWHERE = "wait if it is being migrated; otherwise give them schedules of their own"
"""What helps when two hosts list a VM of one id."""
MOST = 100
"""How many missed times of a schedule are begun, the latest ones. More are a clock that went ahead rather than work that is wanted."""


class Scheduler:
    """Looks for due times and puts their runs into the queue.

    Args:
        engine: what the runs are submitted to.
    """

    def __init__(self, engine: DurableEngine) -> None:
        self._engine, self._store = engine, engine.schedules

    def begin_due(self) -> list[str]:
        """Begin all that is due; return the ids of the runs. A schedule that can't be read or begun stops no other.

        Raises:
            StorageError: the database can't be reached.
        """
        found, now = list[str](), _moment(self._store.now())
        for stored in self._store.list():
            if stored.paused:
                continue
            schedule = read_schedule(stored)
            try:
                found += self._begin_due(stored, schedule, now)
            except NovaCronError as error:
                self._store.checked(stored.name, stored.checked_at, str(error))
            except Exception as defect:
                logging.getLogger(__name__).exception("schedule %s", stored.name)
                self._store.checked(stored.name, stored.checked_at, f"{type(defect).__name__}: {defect}")
        return found

    def _begin_due(self, stored: StoredSchedule, schedule: Schedule, now: datetime) -> list[str]:
        begun, problem, checked = list[str](), stored.problem, _moment(stored.checked_at)
        times, dropped = list(_due(schedule, checked, now)), None
        if schedule.misfire == "all" and len(times) > MOST:
            dropped = f"missed times until {times[0]:%Y-%m-%d %H:%M:%S %Z} were not begun: only the latest {MOST} are"
            self._take(schedule, times.pop(0), problem=dropped)
        for due in times:
            if now < due + timedelta(seconds=delay(schedule, due)):
                break
            if schedule.misfire == "skip" and not is_wanted(schedule, due, now):
                if problem:
                    self._take(schedule, due, problem=problem)
                checked = due
                continue
            run_id, problem = self._begin(stored, schedule, due, now)
            if problem and now - due <= LATE:
                break  # tried again in the next sweep
            checked = due
            begun += [run_id] if run_id else []
        problem = dropped or problem
        if checked.timestamp() > stored.checked_at or problem != stored.problem:
            self._store.checked(stored.name, checked.timestamp(), problem)
        return begun

    def begin(self, schedule: Schedule, due: datetime, now: datetime) -> str | None:
        """Begin what a schedule has due at a time; return the run's id, the same one whoever asks; None if it is skipped."""
        stored = StoredSchedule(
            name=schedule.name,
            definition={},
            actor=schedule.actor or self._engine.actor,
            paused=False,
            created_at=0.0,
            checked_at=0.0,
            problem=None,
        )
        return self._begin(stored, schedule, due, now)[0] if is_wanted(schedule, due, now) else None

    def _begin(self, stored: StoredSchedule, schedule: Schedule, due: datetime, now: datetime) -> tuple[str | None, str | None]:
        """Begin a run; return its id, or None and why it could not begin."""
        if (taken := self._store.time(schedule.name, due.timestamp())) is not None:
            return taken.run, None
        problem = None
        try:
            vms, uris = self._vms(stored, schedule)
            flow = self._engine.read(_in_zone(schedule.flow, schedule.timezone))
            flow.check_code()
        except NovaCronError as error:
            problem, vms = str(error), ()
        if not vms:
            if problem is None or now - due > LATE:
                self._take(schedule, due, problem=problem or "no VM has the tag " + repr(schedule.tag))
            return None, problem
        run_id = f"{schedule.name}@{due.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        whole = flow if len(vms) == 1 else _for_each(flow, vms, schedule.max_parallel)
        new = self._engine.new_run(whole, list(vms), schedule.hosts | uris, stored.actor, run_id)
        new = msgspec.structs.replace(new, name=schedule.name)
        began = self._store.take(
            schedule.name,
            due.timestamp(),
            self._engine.executor,
            run=run_id,
            known=bool(stored.definition),
            begin=lambda connection: self._engine.runs.create(new, within=connection),
        )
        return (run_id if began else None), None

    def _take(self, schedule: Schedule, due: datetime, *, problem: str) -> None:
        self._store.take(schedule.name, due.timestamp(), self._engine.executor, problem=problem)

    def _vms(self, stored: StoredSchedule, schedule: Schedule) -> tuple[tuple[VMRef, ...], dict[str, str]]:
        """Return the VMs that a schedule is for, where they are now, and the URIs of their hosts."""
        resolver = self._engine.resolver or default_resolver()
        hosts = Hosts(uris=schedule.hosts, resolver=resolver)
        try:
            if schedule.tag is not None:
                names = list(schedule.hosts) or list(resolver.uris())
                found = tuple(VMRef(name, vm.id, vm.name) for name in names for vm in hosts[name].vms.list(tag=schedule.tag))
            else:
                found = tuple(_located(vm, hosts, [*schedule.hosts, *resolver.uris()]) for vm in schedule.vms)
            uris = {vm.host: hosts[vm.host].uri for vm in found}
            found = tuple(once_each(found, lambda vm: (vm.host, uris[vm.host]), ALSO_ELSEWHERE))
        finally:
            hosts.close()
        if schedule.tag is None and found != schedule.vms and stored.definition:
            moved = msgspec.structs.replace(schedule, vms=found, hosts=schedule.hosts | uris)
            self._store.redefine(stored, moved.definition())
        return found, uris


def _located(vm: VMRef, hosts: Hosts, names: list[str]) -> VMRef:
    """Return a VM where it is now: on its host, or on any other one. Raises NovaCronError if it is on none."""
    unreachable: NovaCronError | None = None
    for name in dict.fromkeys([vm.host, *names]):
        try:
            return VMRef(name, vm.id, hosts[name].invoke("vm_get", vm=vm.id).name)
        except VMNotFoundError:
            continue
        except NovaCronError as error:
            unreachable = unreachable or error
    if unreachable is not None:
        raise unreachable
    raise VMNotFoundError(f"the VM {vm.name or vm.id!r} is on no host that is known", resource=vm.name)


def _in_zone(stored: Any, timezone: str) -> Any:
    """Return a stored flow whose retention steps count days in a time zone, unless they name one."""
    if isinstance(stored, dict):
        if stored.get("kind") == "keep_snapshots" and not stored.get("arguments", {}).get("timezone"):
            return {**stored, "arguments": {**stored["arguments"], "timezone": timezone}}
        return {key: _in_zone(value, timezone) for key, value in stored.items()}
    return [_in_zone(value, timezone) for value in stored] if isinstance(stored, list | tuple) else stored


def _for_each(flow: Workflow, vms: tuple[VMRef, ...], max_parallel: int) -> Workflow:
    each = EachNode(body=flow.node, vms=vms, max_parallel=max_parallel)
    return Workflow(OnFailureNode(body=each, action="stop"), kinds=flow.kinds, functions=flow.functions)


def _due(schedule: Schedule, checked: datetime, now: datetime) -> Iterator[datetime]:
    """Return the times after `checked` that are to be begun now, the earliest first; of "all" one more than are begun at most."""
    if schedule.misfire == "all":
        missed = takewhile(lambda at: at > checked, times_until(schedule.cron, schedule.timezone, now))
        return reversed(list(islice(missed, MOST + 1)))
    if schedule.misfire == "skip":
        begin = max(checked, now - 2 * LATE - timedelta(seconds=schedule.jitter))
        return takewhile(lambda at: at <= now, times_after(schedule.cron, schedule.timezone, begin))
    ready = now - timedelta(seconds=schedule.jitter)
    latest = latest_until(schedule.cron, schedule.timezone, ready, checked) if schedule.jitter else None
    latest = latest or latest_until(schedule.cron, schedule.timezone, now, checked)
    return iter([latest] if latest else [])


def is_wanted(schedule: Schedule, due: datetime, now: datetime) -> bool:
    """Return whether a time that has come is to be begun, as the schedule's `misfire` says."""
    if schedule.misfire == "skip":
        return now - due <= LATE + timedelta(seconds=schedule.jitter)
    if schedule.misfire == "once":
        return next(times_after(schedule.cron, schedule.timezone, due)) > now
    return True


def delay(schedule: Schedule, due: datetime) -> float:
    """Return by how many seconds the begin of a time is delayed: the same for all workers."""
    return random.Random(f"{schedule.name}{due.isoformat()}").uniform(0, schedule.jitter)  # noqa: S311 - no secret


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


__all__ = ["LATE", "Scheduler", "delay", "is_wanted"]
