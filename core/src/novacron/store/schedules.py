"""Schedules in the state database, and the due times that were claimed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from novacron.errors import NotFoundError
from novacron.store.base import Store
from novacron.store.database import clock
from novacron.store.tables import schedule_times, schedules


class StoredSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule, as stored in the database. The fields are the columns of `novacron.store.tables.schedules`."""

    name: str
    definition: dict[str, Any]
    actor: str
    paused: bool
    created_at: float
    checked_at: float
    problem: str | None


class ScheduledTime(msgspec.Struct, frozen=True, kw_only=True):
    """A due time that was processed. Times are in seconds since 1970.

    `run` is the id of the started run, None if no run was started; `problem` gives the reason. `executor` is the user of the process.
    """

    due: float
    at: float
    run: str | None
    problem: str | None
    executor: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        result: dict[str, Any] = msgspec.to_builtins(self)
        return result


class _PausedError(Exception):
    """A schedule was paused or removed since it was read."""


class ScheduleStore(Store):
    """Reads and writes schedules."""

    def now(self) -> float:
        """Return the time by the database's clock, in seconds since 1970."""
        with self.transaction() as connection:
            return float(connection.execute(sa.select(clock(connection))).scalar_one())

    def put(self, name: str, definition: dict[str, Any], actor: str, *, replace: bool) -> bool:
        """Store a schedule. Return False if the name is in use and `replace` is False."""
        values = {"definition": definition, "actor": actor, "problem": None}
        try:
            with self.transaction() as connection:
                values["checked_at"] = now = clock(connection)
                if replace and connection.execute(schedules.update().where(schedules.c.name == name).values(**values)).rowcount:
                    return True
                connection.execute(schedules.insert().values(name=name, paused=False, created_at=now, **values))
                return True
        except sa.exc.IntegrityError:
            return False

    def get(self, name: str) -> StoredSchedule:
        """Return a schedule. Raises NotFoundError."""
        with self.transaction() as connection:
            row = connection.execute(schedules.select().where(schedules.c.name == name)).first()
        if row is None:
            raise NotFoundError(f"there is no schedule {name!r}", resource=name, hint="novacron schedule list shows them")
        return _stored(row)

    def pause(self, name: str, *, paused: bool) -> None:
        """Pause or resume a schedule. Times that passed during the pause are skipped. Raises NotFoundError."""
        self.get(name)
        with self.transaction() as connection:
            values = {"paused": paused} | ({} if paused else {"checked_at": clock(connection)})
            connection.execute(schedules.update().where(schedules.c.name == name).values(**values))

    def remove(self, name: str) -> None:
        """Delete a schedule and its times. Its runs are kept. Raises NotFoundError."""
        self.get(name)
        with self.transaction() as connection:
            connection.execute(schedules.delete().where(schedules.c.name == name))
            connection.execute(schedule_times.delete().where(schedule_times.c.schedule == name))

    def checked(self, name: str, until: float, problem: str | None) -> None:
        """Record that all times until then were processed, and the last problem."""
        moved = {"checked_at": sa.case((schedules.c.checked_at < until, until), else_=schedules.c.checked_at), "problem": problem}
        with self.transaction() as connection:
            connection.execute(schedules.update().where(schedules.c.name == name).values(**moved))

    def redefine(self, stored: StoredSchedule, definition: dict[str, Any]) -> None:
        """Store what a process found out about a schedule, unless the schedule was changed meanwhile."""
        same = schedules.c.name == stored.name, schedules.c.created_at == stored.created_at
        with self.transaction() as connection:
            row = connection.execute(sa.select(schedules.c.definition).where(*same)).first()
            if row is not None and row.definition == stored.definition:
                connection.execute(schedules.update().where(*same).values(definition=definition))

    def time(self, name: str, due: float) -> ScheduledTime | None:
        """Return the result of a due time; None if no process has claimed it."""
        query = schedule_times.select().where(schedule_times.c.schedule == name, schedule_times.c.due == due)
        with self.transaction() as connection:
            row = connection.execute(query).first()
            return None if row is None else _time(row)

    def take(
        self,
        name: str,
        due: float,
        executor: str,
        *,
        run: str | None = None,
        problem: str | None = None,
        known: bool = False,
        begin: Callable[[sa.Connection], object] = lambda connection: None,
    ) -> bool:
        """Claim a due time of a schedule. Of all processes, only one succeeds; with a run none, once the schedule is paused.

        Args:
            run: id of the run to start.
            problem: the reason why no run is started.
            known: whether the schedule is stored: nothing may begin once it was removed.
            begin: stores the run, in the same transaction.

        Returns:
            False if another process has claimed it, or nothing may begin.
        """
        values = {"schedule": name, "due": due, "run": run, "problem": problem, "executor": executor}
        paused = sa.select(schedules.c.paused).where(schedules.c.name == name).with_for_update(read=True)
        try:
            with self.transaction() as connection:
                connection.execute(schedule_times.insert().values(**values, at=clock(connection)))
                now = connection.execute(paused).scalar() if run is not None else False
                if now or (now is None and known):
                    raise _PausedError
                begin(connection)
                return True
        except (sa.exc.IntegrityError, _PausedError):
            return False

    def times(self, name: str, limit: int) -> list[ScheduledTime]:
        """Return the processed times of a schedule, latest first."""
        query = (
            schedule_times.select().where(schedule_times.c.schedule == name).order_by(schedule_times.c.due.desc()).limit(limit)
        )
        with self.transaction() as connection:
            return [_time(row) for row in connection.execute(query)]

    def prune(self, older_than: float) -> int:
        """Delete times that were processed more than so many seconds ago; return their number."""
        with self.transaction() as connection:
            old = schedule_times.delete().where(schedule_times.c.at < clock(connection) - older_than)
            return connection.execute(old).rowcount

    def list(self) -> list[StoredSchedule]:
        """Return all schedules, sorted by name."""
        with self.transaction() as connection:
            return [_stored(row) for row in connection.execute(schedules.select().order_by(schedules.c.name))]


def _stored(row: Any) -> StoredSchedule:
    return StoredSchedule(**{name: getattr(row, name) for name in StoredSchedule.__struct_fields__})


def _time(row: Any) -> ScheduledTime:
    return ScheduledTime(**{name: getattr(row, name) for name in ScheduledTime.__struct_fields__})


__all__ = ["ScheduleStore", "ScheduledTime", "StoredSchedule"]
