"""Workflow runs in the state database: what they are of, who asked for them, who runs them, and all that happened in them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from novacron.errors import NotFoundError, WorkflowError
from novacron.store.base import Store
from novacron.store.database import clock
from novacron.store.tables import run_entries, run_vms, runs

ENDED = ("done", "undone", "failed", "cancelled")


class Entry(Protocol):
    """An entry of a run's journal, see `novacron.workflow.run.journal`."""

    @property
    def number(self) -> int: ...
    @property
    def at(self) -> float: ...
    @property
    def path(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def data(self) -> Any: ...
    @property
    def executor(self) -> str | None: ...


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the database has it. The fields are the columns of `novacron.store.tables.runs`."""

    number: int
    id: str
    name: str
    flow: dict[str, Any]
    actor: str
    executor: str | None
    targets: list[dict[str, str]]
    hosts: dict[str, str]
    code: dict[str, str]
    status: str
    wanted: str | None
    process: str | None
    fence: int
    created_at: float
    ended_at: float | None
    result: Any
    error: dict[str, Any] | None


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to be stored. `vms` are the ids of the VMs whose runs take turns; empty for a run inside of another one."""

    name: str
    flow: dict[str, Any]
    actor: str
    targets: list[dict[str, str]]
    hosts: dict[str, str]
    code: dict[str, str]
    vms: tuple[str, ...] = ()
    id: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex[:12])


class RunStore(Store):
    """Reads and writes runs."""

    def create(
        self, new: NewRun, *, process: str | None = None, executor: str | None = None, within: sa.Connection | None = None
    ) -> None:
        """Write a new run.

        Args:
            process: the process that runs it, with the fence 1; None puts the run into the queue.
            executor: the user of that process.
            within: a transaction that this is a part of.

        Raises:
            IntegrityError: there is a run with this id.
        """
        if within is None:
            with self.transaction() as connection:
                return self.create(new, process=process, executor=executor, within=connection)
        values = {name: getattr(new, name) for name in ("id", "name", "flow", "actor", "targets", "hosts", "code")}
        state = {"status": "waiting", "process": process, "executor": executor, "fence": 1 if process else 0}
        within.execute(runs.insert().values(**values, **state, created_at=clock(within)))
        if new.vms:
            within.execute(run_vms.insert(), [{"run": new.id, "vm": vm} for vm in sorted(set(new.vms))])
        return None

    def get(self, run_id: str) -> StoredRun:
        """Return a run by its id, or by a beginning of the id that no other run has. Raises NotFoundError."""
        with self.transaction() as connection:
            query = (
                runs.select().where(runs.c.id.startswith(run_id, autoescape=True)).order_by(sa.func.length(runs.c.id)).limit(2)
            )
            found = [_stored(row) for row in connection.execute(query)] if run_id else []
        exact = [run for run in found if run.id == run_id]
        if len(exact or found) != 1:
            why = "several runs begin with this id" if found else "there is no such run"
            raise NotFoundError(f"{why}: {run_id!r}", hint="`novacron run list` shows them")
        return (exact or found)[0]

    def latest(self, limit: int | None = None, *, unfinished: bool = False, begins: str = "") -> list[StoredRun]:
        """Return runs, the latest first; only those that have not ended, and whose id begins with `begins`."""
        query = runs.select().order_by(runs.c.number.desc()).limit(limit)
        if begins:
            query = query.where(runs.c.id.startswith(begins, autoescape=True))
        if unfinished:
            query = query.where(runs.c.ended_at.is_(None))
        with self.transaction() as connection:
            return [_stored(row) for row in connection.execute(query)]

    # ---- who runs a run

    def claim_next(self, process: str, executor: str, alive: Collection[str], limit: int) -> list[StoredRun]:
        """Claim runs for a process: those in the queue, and those whose process is dead, the oldest first.

        A run is not taken while an earlier run of one of its VMs has not ended.

        Returns:
            the runs that are now the process's, at most `limit`.
        """
        mine, its, earlier = run_vms.alias(), run_vms.alias(), runs.alias()
        waits = (
            sa.select(sa.literal(1))
            .select_from(mine)
            .join(its, its.c.vm == mine.c.vm)
            .join(earlier, earlier.c.id == its.c.run)
            .where(mine.c.run == runs.c.id, earlier.c.ended_at.is_(None), earlier.c.number < runs.c.number)
        )
        free = sa.or_(runs.c.process.is_(None), runs.c.process.not_in([*alive, process]))
        query = (
            runs.select()
            .where(runs.c.ended_at.is_(None), free, ~waits.exists())
            .order_by(runs.c.number)
            .limit(limit)
            .with_for_update(skip_locked=True, of=runs)
        )
        with self.transaction() as connection:
            found = [_stored(row) for row in connection.execute(query)]
            return (
                [run for run in found if self._take(connection, run.id, run.process, run.fence, process, executor)]
                if found
                else []
            )

    def claim(self, run: StoredRun, process: str, executor: str) -> int | None:
        """Claim a run for a process as it was read; return its fence, None if another process was quicker."""
        with self.transaction() as connection:
            return run.fence + 1 if self._take(connection, run.id, run.process, run.fence, process, executor) else None

    def _take(self, connection: sa.Connection, run_id: str, before: str | None, fence: int, process: str, executor: str) -> bool:
        owner = runs.c.process.is_(None) if before is None else runs.c.process == before
        mine = runs.update().where(runs.c.id == run_id, owner, runs.c.fence == fence, runs.c.ended_at.is_(None))
        return connection.execute(mine.values(process=process, executor=executor, fence=fence + 1)).rowcount == 1

    def release(self, run_id: str, fence: int, status: str | None = None) -> None:
        """Release a run that this process can't continue; with the status "waiting" it returns to the queue."""
        values = {"process": None} | ({"status": status} if status else {})
        with self.transaction() as connection:
            connection.execute(runs.update().where(*_held(run_id, fence)).values(**values))

    def reopen(self, run: StoredRun, wanted: str, process: str, executor: str) -> int | None:
        """Let a process run a failed run again, to "resume" or to "undo" it; return its fence, None if it is not failed any more.

        The fence grows: a process that ran it before, and was slow, can no longer write.
        """
        values = {
            "status": "waiting",
            "process": process,
            "executor": executor,
            "wanted": wanted,
            "fence": run.fence + 1,
            "ended_at": None,
            "error": None,
        }
        with self.transaction() as connection:
            failed = runs.update().where(runs.c.id == run.id, runs.c.status == "failed", runs.c.fence == run.fence)
            return run.fence + 1 if connection.execute(failed.values(**values)).rowcount == 1 else None

    def set_status(self, run_id: str, fence: int, status: str) -> None:
        """Write down that a run waits, is running or is paused."""
        with self.transaction() as connection:
            connection.execute(runs.update().where(*_held(run_id, fence)).values(status=status))

    def end(self, run_id: str, fence: int, status: str, result: Any, error: dict[str, Any] | None) -> bool:
        """Write down how a run ended; return whether this fence was still valid."""
        with self.transaction() as connection:
            values = {"status": status, "ended_at": clock(connection), "result": result, "error": error, "wanted": None}
            if connection.execute(runs.update().where(*_held(run_id, fence)).values(**values)).rowcount == 1:
                return True
            before = runs.c.id == run_id, runs.c.fence == fence, runs.c.ended_at.is_not(None), runs.c.status == status
            return connection.execute(sa.select(runs.c.id).where(*before)).first() is not None  # only the answer was lost

    # ---- what happened in a run

    def append(self, run_id: str, fence: int, entry: Entry) -> None:
        """Write an entry, in one statement that only the process with the present fence can do.

        Raises:
            WorkflowError: another process has taken the run over.
        """
        values = {"at": entry.at, "path": str(entry.path), "event": entry.event, "executor": entry.executor}
        mine = (
            sa.select(
                sa.literal(run_id),
                sa.literal(entry.number),
                *(sa.literal(v) for v in values.values()),
                sa.literal(entry.data, sa.JSON),
            )
            .select_from(runs)
            .where(*_held(run_id, fence))
            .with_for_update(read=True)
        )
        try:
            with self.transaction() as connection:
                put = run_entries.insert().from_select(["run", "number", *values, "data"], mine)
                if connection.execute(put, execution_options={"preserve_rowcount": True}).rowcount == 1:  # not kept of INSERTs
                    return
        except sa.exc.IntegrityError:
            if any(e["at"] == entry.at and e["path"] == entry.path for e in self.entries(run_id, entry.number)):
                return  # it was written, and only the answer was lost
        raise WorkflowError("another process has taken the run over", resource=run_id)

    def entries(self, run_id: str, first: int = 0) -> list[dict[str, Any]]:
        """Return the entries of a run from a number on, oldest first."""
        return self.entries_of([run_id], first)[run_id]

    def entries_of(self, run_ids: Iterable[str], first: int = 0) -> dict[str, list[dict[str, Any]]]:
        """Return the entries of several runs, oldest first, by run."""
        found: dict[str, list[dict[str, Any]]] = {run_id: [] for run_id in run_ids}
        query = run_entries.select().where(run_entries.c.run.in_(list(found)), run_entries.c.number >= first)
        with self.transaction() as connection:
            for r in connection.execute(query.order_by(run_entries.c.run, run_entries.c.number)):
                entry = {"number": r.number, "at": r.at, "path": r.path, "event": r.event, "executor": r.executor, "data": r.data}
                found[r.run].append(entry)
        return found

    def before(self, run_id: str, *, or_after: bool = False) -> StoredRun | None:
        """Return the earliest unfinished run that was asked for before this one and has a VM of it; None if there is none.

        Args:
            run_id: the id of this run.
            or_after: also one that was asked for after this one.
        """
        mine, its = run_vms.alias(), run_vms.alias()
        number = sa.select(runs.c.number).where(runs.c.id == run_id).scalar_subquery()
        query = (
            runs.select()
            .join(its, its.c.run == runs.c.id)
            .join(mine, mine.c.vm == its.c.vm)
            .where(
                mine.c.run == run_id, runs.c.ended_at.is_(None), runs.c.number != number if or_after else runs.c.number < number
            )
            .order_by(runs.c.number)
            .limit(1)
        )
        with self.transaction() as connection:
            row = connection.execute(query).first()
            return None if row is None else _stored(row)

    def want(self, run_id: str, wanted: str | None) -> bool:
        """Ask the process that runs a run to "cancel" or to "pause" it; return whether the run has not ended."""
        with self.transaction() as connection:
            asked = connection.execute(runs.update().where(runs.c.id == run_id, runs.c.ended_at.is_(None)).values(wanted=wanted))
            return asked.rowcount == 1

    def wants(self, process: str) -> dict[str, str | None]:
        """Return what is asked of a process, for each run that it runs."""
        query = sa.select(runs.c.id, runs.c.wanted).where(runs.c.process == process, runs.c.ended_at.is_(None))
        with self.transaction() as connection:
            return {row.id: row.wanted for row in connection.execute(query)}

    def prune(self, *, older_than: float | None, keep: int | None, statuses: Collection[str]) -> int:
        """Delete runs that have ended, with their entries; return how many.

        Args:
            older_than: only runs that ended more than so many seconds ago.
            keep: never the latest so many runs.
            statuses: only runs that ended so.
        """
        with self.transaction() as connection:
            chosen = sa.select(runs.c.id).where(runs.c.ended_at.is_not(None), runs.c.status.in_(statuses))
            if older_than is not None:
                chosen = chosen.where(runs.c.ended_at < clock(connection) - older_than)
            if keep is not None:
                newest = sa.select(runs.c.number).where(runs.c.ended_at.is_not(None)).order_by(runs.c.number.desc())
                limit = connection.execute(newest.offset(keep).limit(1)).scalar()
                chosen = chosen.where(runs.c.number <= (-1 if limit is None else limit))
            connection.execute(run_entries.delete().where(run_entries.c.run.in_(chosen)))
            connection.execute(run_vms.delete().where(run_vms.c.run.in_(chosen)))
            return connection.execute(runs.delete().where(runs.c.id.in_(chosen))).rowcount


def _held(run_id: str, fence: int) -> tuple[Any, ...]:
    return runs.c.id == run_id, runs.c.fence == fence, runs.c.process.is_not(None), runs.c.ended_at.is_(None)


def _stored(row: Any) -> StoredRun:
    return StoredRun(**{name: getattr(row, name) for name in StoredRun.__struct_fields__})


__all__ = ["ENDED", "NewRun", "RunStore", "StoredRun"]
