"""The runs of all processes that share the state database: list, inspect, resume, cancel, pause."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from novacron.conversion import convert
from novacron.errors import InvalidSpecError, InvalidStateError, NovaCronError, SpecProblem, WorkflowError
from novacron.handles.collection import Collection
from novacron.store.processes import ProcessRecord
from novacron.store.runs import StoredRun
from novacron.units import parse_duration
from novacron.workflow.clashes import refuse_clashes
from novacron.workflow.composition import Workflow, distinct, reference
from novacron.workflow.nodes import VMRef, names_of
from novacron.workflow.run.journal import Entry
from novacron.workflow.run.progress import StepRecord, StepRecords, step_lines
from novacron.workflow.run.run import Run, RunStatus

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.workflow.run.durable import DurableEngine


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the database tells of it. Times are in seconds since 1970.

    `process` is who runs it, None when nobody does. `waits_for` is the earlier run of one of its VMs that must end first. `error` is as
    NovaCronError.as_dict, and `text`. `left` says what a person must look at: steps that could not be undone, that were kept, or
    with an unknown outcome. `actor` is who asked for the run, `executor` the user of the process that runs it or ran it last.
    """

    id: str
    name: str
    status: RunStatus
    flow: str
    vms: tuple[VMRef, ...]
    steps: tuple[StepRecord, ...]
    created_at: float
    ended_at: float | None = None
    process: str | None = None
    waits_for: str | None = None
    actor: str = ""
    executor: str | None = None
    error: dict[str, Any] | None = None
    left: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        result: dict[str, Any] = msgspec.to_builtins(self)
        return result

    def __str__(self) -> str:
        head = f"{self.id}  {self.name or self.flow} of {names_of(self.vms)}: {self.status}"
        if self.actor:
            by = f", executed by {self.executor}" if self.executor not in (None, self.actor) else ""
            head += f", asked for by {self.actor}{by}"
        if self.waits_for:
            head += f", waits for run {self.waits_for}"
        lines = [head, *(f"  {line}" for line in step_lines(self.steps))]
        if self.error:
            lines.append(f"  {self.error['text']}")
        lines += [f"  LEFT  {what}" for what in self.left]
        if self.status == "failed":
            lines.append(f"  check it; then `novacron run resume {self.id}` continues, `novacron run undo {self.id}` rolls back")
        return "\n".join(lines)


class Runs(Collection[RunRecord]):
    """The runs in the state database, `fleet.runs`.

    Example:
        >>> import novacron
        >>> from novacron.workflow import steps
        >>> vm = novacron.connect("sim://runs").vms.create(name="web1")
        >>> run = steps.start().run(vm)
        >>> found = novacron.fleet().runs[run.id]
        >>> found.status, [step.status for step in found.steps]
        ('done', ['done'])
    """

    def __init__(self, engine: DurableEngine | None = None) -> None:
        if engine is None:
            from novacron.workflow.defaults import default_site

            engine = default_site().engine
        self._engine, self._store = engine, engine.runs

    def __repr__(self) -> str:
        return "<runs>"

    def _all(self) -> Sequence[RunRecord]:
        return self.list(limit=None)

    def _key(self, item: RunRecord) -> str:
        return item.id

    def _similar(self, key: str) -> list[str]:
        return []  # an id is random: one like it means nothing, and all runs with all of their steps would be read

    def _find(self, run_id: str) -> RunRecord:
        """Return a run by its id, or by a beginning that no other has. Raises NotFoundError."""
        return next(self._records([self._store.get(run_id)]))

    def list(self, *, unfinished: bool = False, begins: str = "", limit: int | None = 50) -> list[RunRecord]:
        """Return runs, the latest first: those that have not ended when `unfinished`, and whose id begins so."""
        return list(self._records(self._store.latest(limit, unfinished=unfinished, begins=begins)))

    def history(self, run_id: str) -> tuple[Entry, ...]:
        """Return all that happened in a run, oldest first."""
        return tuple(Entry.from_dict(entry) for entry in self._store.entries(self._store.get(run_id).id))

    def resume(self, run_id: str, *, accept_changes: bool = False) -> Run:
        """Resume, in this process, an interrupted or failed run; or resume a paused one.

        A step that was under way is first looked for on the hypervisor; finished steps are not repeated.

        Raises:
            NotFoundError, InvalidStateError
            WorkflowError: code of its steps has changed since it began, and not `accept_changes`.
        """
        with self._engine.recording("run_resume", run_id, accept_changes=accept_changes):
            return self._engine.resume(run_id, accept_changes=accept_changes)

    def undo(self, run_id: str) -> Run:
        """Take back, in this process, what a failed run has left; see `RunRecord.left`. What can't be is told again.

        Raises:
            NotFoundError
            InvalidStateError: it has not failed.
        """
        known = self._store.get(run_id)
        if known.status != "failed":
            hint = f"novacron run cancel {known.id} stops it and undoes what was done" if known.ended_at is None else None
            raise InvalidStateError(
                f"the run {known.id} is {known.status}", resource=known.id, hint=hint or "nothing of it is left"
            )
        with self._engine.recording("run_undo", known.id):
            return self._engine.resume(known.id, accept_changes=True, undo=True)

    def submit(self, flow: Workflow, vms: Iterable[VMHandle], *, max_parallel: int = 4) -> str:
        """Let a worker (`novacron worker`) run a flow for VMs; return the run's id at once.

        Raises:
            WorkflowError: it has functions that no other process could find, or no VM.
        """
        handles = distinct(vms)
        if not handles:
            raise WorkflowError("the flow has no VM to run for")
        flow.check_code()
        refuse_clashes(flow, map(reference, handles))
        flow.as_dict()
        whole = flow if len(handles) == 1 else flow.each(handles, max_parallel=max_parallel).on_failure("stop")
        uris = {host.name: host.uri for host in [*(vm.host for vm in handles), *flow.hosts.values()]}
        actor = handles[0].host.identity.actor
        return self._engine.submit(whole, [reference(vm) for vm in handles], uris, actor)

    def detach(self, run_id: str) -> None:
        """Leave a run of this process to a worker, once the step that is under way has ended. Raises InvalidStateError."""
        self._engine.detach(self._store.get(run_id).id)

    def workers(self) -> tuple[str, ...]:
        """Return the workers that are up, by name."""
        return tuple(sorted(process.name for process in self._engine.alive().values() if process.name.startswith("worker ")))

    def recover(self) -> tuple[Run, ...]:
        """Resume all interrupted runs in this process. Runs that can't be resumed here are left unchanged."""
        begun = []
        for record in self.list(unfinished=True, limit=None):
            if record.status == "interrupted":
                try:
                    begun.append(self.resume(record.id))
                except NovaCronError:
                    continue  # another process was quicker, or the code is not here
        return tuple(begun)

    def prune(self, *, older_than: float | str | timedelta | None = None, keep: int | None = None, failed: bool = False) -> int:
        """Delete runs that have ended, and their history; return how many.

        Args:
            older_than: only runs that ended longer ago than that, such as "30d".
            keep: never the latest so many ended runs.
            failed: also runs that failed. They can be resumed or undone as long as they are on record.

        Raises:
            InvalidSpecError: neither an age nor a number is given.
        """
        if older_than is None and keep is None:
            problem = SpecProblem("older_than", "missing", "an age such as 30d, or a number of runs to keep")
            raise InvalidSpecError("can't prune runs", problems=[problem])
        seconds = None if older_than is None else parse_duration(older_than)
        statuses = ("done", "undone", "cancelled", *(["failed"] if failed else []))
        with self._engine.recording("run_prune", None, older_than=seconds, keep=keep, failed=failed):
            return self._store.prune(older_than=seconds, keep=keep, statuses=statuses)

    def retry(self, run_id: str) -> Run:
        """Begin a new run of the same flow for the same VMs, as a run that was undone or cancelled had it.

        Raises:
            NotFoundError, WorkflowError
            InvalidStateError: it has not ended, or is to be resumed.
        """
        known = self._store.get(run_id)
        if known.status not in ("undone", "cancelled", "done"):
            raise InvalidStateError(f"the run {known.id} is {known.status}", resource=known.id, hint="resume or cancel it first")
        with self._engine.recording("run_retry", known.id):
            return self._engine.repeat(known)

    def cancel(self, run_id: str) -> None:
        """Stop the operation that is under way, and undo what was done; by the process that runs it, or this one if that has ended.

        Raises:
            NotFoundError
            InvalidStateError: it has ended.
        """
        with self._engine.recording("run_cancel", run_id):
            known = self._ask(run_id, "cancel")
        if known.process not in self._engine.alive():
            self.resume(known.id, accept_changes=True)

    def pause(self, run_id: str) -> None:
        """Let no further step begin; the one that is under way ends. Raises NotFoundError, InvalidStateError."""
        with self._engine.recording("run_pause", run_id):
            self._ask(run_id, "pause")

    def unpause(self, run_id: str) -> None:
        """Resume a paused run. Raises NotFoundError, InvalidStateError."""
        with self._engine.recording("run_unpause", run_id):
            self._ask(run_id, None)

    def wait(
        self, run_id: str, timeout: float | None = None, *, on_change: Callable[[RunRecord], object] = lambda record: None
    ) -> RunRecord:
        """Wait until a run has ended, whoever runs it, or nobody does any more. Raises TimeoutError."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            record = self[run_id]
            on_change(record)
            if record.ended_at is not None or record.status == "interrupted":
                return record
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"the run {run_id} is still {record.status}")
            time.sleep(0.2)

    def _ask(self, run_id: str, wanted: str | None) -> StoredRun:
        known = self._store.get(run_id)
        if not self._store.want(known.id, wanted):
            raise InvalidStateError(
                f"the run {known.id} is {known.status}: it has ended",
                resource=known.id,
                hint=f"novacron run show {known.id} tells how",
            )
        return known

    def _records(self, runs: Iterable[StoredRun]) -> Iterator[RunRecord]:
        """Return records of runs, with the entries of all of them read at once."""
        runs, alive = list(runs), self._engine.alive()
        entries = self._store.entries_of(run.id for run in runs)
        for known in runs:
            yield self._record(known, alive, entries[known.id])

    def _record(self, known: StoredRun, alive: Mapping[str, ProcessRecord], entries: Iterable[dict[str, Any]]) -> RunRecord:
        vms = tuple(convert(target, VMRef) for target in known.targets)
        try:
            flow = self._engine.read(known.flow)
        except NovaCronError as error:  # one bad row never breaks a list
            words, steps = f"? ({error})", tuple[StepRecord, ...]()
        else:
            words, records = flow.description, StepRecords(flow.node, vms[0], flow.words)
            for entry in entries:
                with suppress(LookupError):  # written by an older version, whose paths were others
                    records.apply(Entry.from_dict(entry))
            steps = records.all()
        status: Any = known.status
        gone = known.process not in alive if known.process else status != "waiting"
        if known.ended_at is None and gone:
            status = "interrupted"
        before = self._store.before(known.id) if status == "waiting" else None
        owner = alive.get(known.process or "")
        return RunRecord(
            id=known.id,
            name=known.name,
            status=status,
            flow=words,
            vms=vms,
            steps=steps,
            actor=known.actor,
            executor=known.executor,
            created_at=known.created_at,
            ended_at=known.ended_at,
            process=owner.name if owner else None,
            waits_for=before.id if before else None,
            error=known.error,
            left=_left(status, steps),
        )


def _left(status: str, steps: tuple[StepRecord, ...]) -> tuple[str, ...]:
    if status != "failed":
        return ()
    found = []
    for step in steps:
        of = f"{step.description} of {step.vm}"
        if step.status == "undo_failed" and step.undo_error:
            found.append(f"{of} is done and could not be undone: {step.undo_error['text']}")
        elif step.status == "failed" and step.error and step.error.get("outcome") == "unknown":
            found.append(f"{of}: whether it happened is not known: {step.error['text']}")
        elif step.status == "done":
            found.append(f"{of} is done")
    return tuple(found)


__all__ = ["RunRecord", "Runs"]
