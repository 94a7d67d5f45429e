"""Workflow runs in the state database: what they are of, who runs them, and all that happened in them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from novacron.errors import NotFoundError, WorkflowError
from novacron.store.database import transaction
from novacron.store.tables import run_entries, run_vms, runs

if TYPE_CHECKING:
    from novacron.workflow.run.journal import Entry

ENDED = ("done", "undone", "failed", "cancelled")


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the database has it; the fields are as the columns of `novacron.store.tables.runs`."""

    number: int
    id: str
    name: str
    flow: dict[str, Any]
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


class RunStore:
    """Reads and writes runs."""

    def create(
        self,
        name: str,
        flow: dict[str, Any],
        targets: list[dict[str, str]],
        hosts: Mapping[str, str],
        code: Mapping[str, str],
        vms: Iterable[str],
        run_id: str | None = None,
        process: str | None = None,
    ) -> str:
        """Write a new run, one that `process` is to run or anybody, and return its id.

        Raises:
            IntegrityError: `run_id` is there already.
        """
        run_id = run_id or uuid.uuid4().hex[:12]
        values = {"name": name, "flow": flow, "targets": targets, "hosts": dict(hosts), "code": dict(code)}
        with transaction() as connection:
            connection.execute(
                runs.insert().values(id=run_id, status="waiting", process=process, fence=0, created_at=time.time(), **values)
            )
            for vm in sorted(set(vms)):
                connection.execute(run_vms.insert().values(run=run_id, vm=vm))
        return run_id

    def get(self, run_id: str) -> StoredRun:
        """Return a run by its id, or the beginning of it that is its alone. Raises NotFoundError."""
        with transaction() as connection:
            query = runs.select().where(runs.c.id.startswith(run_id, autoescape=True)).limit(2)
            found = [_stored(row) for row in connection.execute(query)] if run_id else []
        exact = [run for run in found if run.id == run_id]
        if len(exact or found) != 1:
            why = "several runs begin so" if found else "there is no such run"
            raise NotFoundError(f"{why}: {run_id!r}", hint="novacron run list shows them")
        return (exact or found)[0]

    def latest(self, limit: int | None = None, *, unfinished: bool = False, begins: str = "") -> list[StoredRun]:
        """Return runs, the latest first; those whose id begins so."""
        query = runs.select().order_by(runs.c.number.desc()).limit(limit)
        if begins:
            query = query.where(runs.c.id.startswith(begins, autoescape=True))
        if unfinished:
            query = query.where(runs.c.ended_at.is_(None))
        with transaction() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def claim(self, run_id: str, process: str, *, instead_of: str | None = None) -> int | None:
        """Let a process run it that nobody runs, or only `instead_of`; return its fence, None when another was quicker."""
        with transaction() as connection:
            owner = runs.c.process.is_(None) if instead_of is None else runs.c.process == instead_of
            taken = connection.execute(
                runs.update()
                .where(runs.c.id == run_id, owner, runs.c.ended_at.is_(None))
                .values(process=process, fence=runs.c.fence + 1)
            )
            if taken.rowcount != 1:
                return None
            return int(connection.execute(sa.select(runs.c.fence).where(runs.c.id == run_id)).scalar_one())

    def release(self, run_id: str, fence: int) -> None:
        """Let a run go that this process can't go on with."""
        with transaction() as connection:
            connection.execute(runs.update().where(*_held(run_id, fence)).values(process=None))

    def reopen(self, run_id: str, wanted: str) -> bool:
        """Let a failed run be run again, to "resume" or to "undo"; return whether it was one."""
        with transaction() as connection:
            done = connection.execute(
                runs.update()
                .where(runs.c.id == run_id, runs.c.status == "failed")
                .values(status="waiting", process=None, wanted=wanted, ended_at=None, error=None)
            )
            return done.rowcount == 1

    def set_status(self, run_id: str, fence: int, status: str) -> None:
        """Write down that a run waits, goes on, or is paused."""
        with transaction() as connection:
            connection.execute(runs.update().where(*_held(run_id, fence)).values(status=status))

    def end(self, run_id: str, fence: int, status: str, result: Any, error: dict[str, Any] | None) -> bool:
        """Write down how a run ended; return whether it was still this fence's."""
        with transaction() as connection:
            values = {"status": status, "ended_at": time.time(), "result": result, "error": error, "wanted": None}
            return connection.execute(runs.update().where(*_held(run_id, fence)).values(**values)).rowcount == 1

    def append(self, run_id: str, fence: int, entry: Entry) -> None:
        """Put an entry on record, in one statement that only the present fence's process can do.

        Raises:
            WorkflowError: another process has taken the run over.
        """
        values = {"at": entry.at, "path": str(entry.path), "event": entry.event}
        mine = sa.select(
            sa.literal(run_id), sa.literal(entry.number), *(sa.literal(v) for v in values.values()), sa.literal(entry.data, sa.JSON)
        ).select_from(runs).where(*_held(run_id, fence)).with_for_update(read=True)  # fmt: skip
        try:
            with transaction() as connection:
                put = run_entries.insert().from_select(["run", "number", *values, "data"], mine)
                if connection.execute(put, execution_options={"preserve_rowcount": True}).rowcount == 1:  # not kept of INSERTs
                    return
        except sa.exc.IntegrityError:
            if any(e["at"] == entry.at and e["path"] == entry.path for e in self.entries(run_id, entry.number)):
                return  # it had come through, and only its answer was lost
        raise WorkflowError("another process has taken the run over", resource=run_id)

    def entries(self, run_id: str, first: int = 0) -> list[dict[str, Any]]:
        """Return the entries of a run from a number on, oldest first."""
        query = (
            run_entries.select().where(run_entries.c.run == run_id, run_entries.c.number >= first).order_by(run_entries.c.number)
        )
        with transaction() as connection:
            return [
                {"number": r.number, "at": r.at, "path": r.path, "event": r.event, "data": r.data}
                for r in connection.execute(query)
            ]

    def before(self, run_id: str) -> StoredRun | None:
        """Return the earliest unfinished run that was asked for before this one and has a VM of it; None: it is its turn."""
        mine, its = run_vms.alias(), run_vms.alias()
        number = sa.select(runs.c.number).where(runs.c.id == run_id).scalar_subquery()
        query = (
            runs.select()
            .join(its, its.c.run == runs.c.id)
            .join(mine, mine.c.vm == its.c.vm)
            .where(mine.c.run == run_id, runs.c.ended_at.is_(None), runs.c.number < number)
            .order_by(runs.c.number)
            .limit(1)
        )
        with transaction() as connection:
            row = connection.execute(query).first()
            return None if row is None else _stored(row)

    def want(self, run_id: str, wanted: str | None) -> bool:
        """Ask something of the process that runs a run; return whether the run goes on."""
        with transaction() as connection:
            asked = connection.execute(runs.update().where(runs.c.id == run_id, runs.c.ended_at.is_(None)).values(wanted=wanted))
            return asked.rowcount == 1

    def wants(self, process: str) -> dict[str, str | None]:
        """Return what is asked of a process, for each run that it runs."""
        query = sa.select(runs.c.id, runs.c.wanted).where(runs.c.process == process, runs.c.ended_at.is_(None))
        with transaction() as connection:
            return {row.id: row.wanted for row in connection.execute(query)}


def _held(run_id: str, fence: int) -> tuple[Any, ...]:
    return runs.c.id == run_id, runs.c.fence == fence, runs.c.process.is_not(None), runs.c.ended_at.is_(None)


def _stored(row: Any) -> StoredRun:
    return StoredRun(**{name: getattr(row, name) for name in StoredRun.__struct_fields__})


__all__ = ["ENDED", "RunStore", "StoredRun"]
