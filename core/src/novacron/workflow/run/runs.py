"""The runs of all processes that share the state database: listed, looked at, gone on with, cancelled, paused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from novacron.errors import InvalidStateError, NovaCronError, WorkflowError
from novacron.store.processes import ProcessRecord, ProcessStore
from novacron.store.runs import RunStore, StoredRun
from novacron.workflow.composition import Workflow, reference
from novacron.workflow.nodes import VMRef, names_of
from novacron.workflow.run.journal import Entry
from novacron.workflow.run.progress import StepRecord, StepRecords
from novacron.workflow.run.run import Run, RunStatus

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.workflow.run.durable import DurableEngine


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the database tells of it. Times are in seconds since 1970.

    `process` is who runs it, None when nobody does. `waits_for` is the earlier run of one of its VMs that must end first. `error` is as
    NovaCronError.as_dict, and `text`. `left` says what a person must look at: steps that could not be undone, that were kept, or
    that nobody knows the end of.
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
    error: dict[str, Any] | None = None
    left: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        result: dict[str, Any] = msgspec.to_builtins(self)
        return result

    def __str__(self) -> str:
        head = f"{self.id}  {self.name or self.flow} of {names_of(self.vms)}: {self.status}"
        if self.waits_for:
            head += f", waits for run {self.waits_for}"
        lines = [head, *(f"  {step}" for step in self.steps)]
        if self.error:
            lines.append(f"  {self.error['text']}")
        lines += [f"  LEFT  {what}" for what in self.left]
        if self.status == "failed":
            lines.append(
                f"  look at it; then `novacron run resume {self.id}` goes on, `novacron run undo {self.id}` takes it back"
            )
        return "\n".join(lines)


class Runs:
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

    def __init__(self) -> None:
        self._store, self._processes = RunStore(), ProcessStore()

    def __repr__(self) -> str:
        return "<runs>"

    def __getitem__(self, run_id: str) -> RunRecord:
        """Return a run by its id, or by a beginning that no other has. Raises NotFoundError."""
        return self._record(self._store.get(run_id), self._alive())

    def list(self, *, unfinished: bool = False, begins: str = "", limit: int | None = 50) -> list[RunRecord]:
        """Return runs, the latest first: those that have not ended when `unfinished`, and whose id begins so."""
        alive = self._alive()
        return [self._record(known, alive) for known in self._store.latest(limit, unfinished=unfinished, begins=begins)]

    def history(self, run_id: str) -> tuple[Entry, ...]:
        """Return all that happened in a run, oldest first."""
        return tuple(Entry.from_dict(entry) for entry in self._store.entries(self._store.get(run_id).id))

    def resume(self, run_id: str, *, accept_changes: bool = False) -> Run:
        """Go on, in this process, with a run whose process has ended, or that failed; or let a paused one go on.

        A step that was under way is first looked for on the hypervisor; finished steps are not repeated.

        Raises:
            NotFoundError, InvalidStateError
            WorkflowError: code of its steps has changed since it began, and not `accept_changes`.
        """
        return self._engine().go_on(run_id, accept_changes=accept_changes)

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
        return self._engine().go_on(known.id, accept_changes=True, back=True)

    def submit(self, flow: Workflow, vms: Iterable[VMHandle], *, max_parallel: int = 4) -> str:
        """Let a worker (`novacron worker`) run a flow for VMs; return the run's id at once.

        Raises:
            WorkflowError: it has functions that no other process could find, or no VM.
        """
        handles = list(vms)
        if not handles:
            raise WorkflowError("the flow has no VM to run for")
        flow.as_dict()
        whole = flow if len(handles) == 1 else flow.each(handles, max_parallel=max_parallel).on_failure("stop")
        uris = {host.name: host.uri for host in [*(vm.host for vm in handles), *flow.hosts.values()]}
        return self._engine().submit(whole, [reference(vm) for vm in handles], uris)

    def detach(self, run_id: str) -> None:
        """Leave a run of this process to a worker, once the step that is under way has ended. Raises InvalidStateError."""
        self._engine().detach(self._store.get(run_id).id)

    def workers(self) -> tuple[str, ...]:
        """Return the workers that are up, by name."""
        return tuple(sorted(process.name for process in self._alive().values() if process.name.startswith("worker ")))

    def recover(self) -> tuple[Run, ...]:
        """Go on, in this process, with all runs whose process has ended; one that can't be gone on with here is left alone."""
        begun = []
        for record in self.list(unfinished=True, limit=None):
            if record.status == "interrupted":
                try:
                    begun.append(self.resume(record.id))
                except NovaCronError:
                    continue  # another process was quicker, or the code is not here
        return tuple(begun)

    def retry(self, run_id: str) -> Run:
        """Begin a new run of the same flow for the same VMs, as a run that was undone or cancelled had it.

        Raises:
            NotFoundError, WorkflowError
            InvalidStateError: it has not ended, or is to be resumed.
        """
        known = self._store.get(run_id)
        if known.status not in ("undone", "cancelled", "done"):
            raise InvalidStateError(f"the run {known.id} is {known.status}", resource=known.id, hint="resume or cancel it first")
        return self._engine().again(known)

    def cancel(self, run_id: str) -> None:
        """Stop the operation that is under way, and undo what was done; by the process that runs it, or this one if that has ended.

        Raises:
            NotFoundError
            InvalidStateError: it has ended.
        """
        known = self._ask(run_id, "cancel")
        if known.process not in self._alive():
            self.resume(known.id, accept_changes=True)

    def pause(self, run_id: str) -> None:
        """Let no further step begin; the one that is under way ends. Raises NotFoundError, InvalidStateError."""
        self._ask(run_id, "pause")

    def unpause(self, run_id: str) -> None:
        """Let a paused run go on. Raises NotFoundError, InvalidStateError."""
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
                f"the run {known.id} is {known.status}: it has ended", resource=known.id,
                hint=f"novacron run show {known.id} tells how",
            )  # fmt: skip
        return known

    def _alive(self) -> dict[str, ProcessRecord]:
        return {process.id: process for process in self._processes.list() if process.alive}

    def _engine(self) -> DurableEngine:
        from novacron.workflow.run.durable import durable_engine  # loads DBOS: only when a run begins

        return durable_engine()

    def _record(self, known: StoredRun, alive: dict[str, ProcessRecord]) -> RunRecord:
        flow = Workflow.from_dict(known.flow)
        vms = tuple(msgspec.convert(target, VMRef) for target in known.targets)
        steps = StepRecords(flow.node, vms[0], flow.words)
        for entry in self._store.entries(known.id):
            steps.apply(Entry.from_dict(entry))
        status: Any = known.status
        gone = known.process not in alive if known.process else status != "waiting"
        if known.ended_at is None and gone:
            status = "interrupted"
        before = self._store.before(known.id) if status == "waiting" else None
        owner = alive.get(known.process or "")
        return RunRecord(
            id=known.id, name=known.name, status=status, flow=flow.description, vms=vms, steps=steps.all(),
            created_at=known.created_at, ended_at=known.ended_at, process=owner.name if owner else None,
            waits_for=before.id if before else None, error=known.error, left=_left(status, steps.all()),
        )  # fmt: skip


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
