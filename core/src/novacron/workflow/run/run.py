"""A workflow under way: its steps, progress, cancellation, history, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from novacron.jobs import Job, Progress
from novacron.text import printable, printable_line
from novacron.workflow.nodes import VMRef, names_of
from novacron.workflow.run.journal import Entry, Event, Journal
from novacron.workflow.run.progress import StepRecord, StepRecords, step_lines

if TYPE_CHECKING:
    from novacron.workflow.composition import Workflow
    from novacron.workflow.paths import Path

RunStatus = Literal["waiting", "running", "paused", "done", "undone", "failed", "cancelled", "interrupted"]


class RunProgress(Progress, frozen=True, kw_only=True):
    """How far a run is: `fraction` of the whole run (on the way back while undoing), `details` as the step's own job reports them.

    `step` is the current step in words, `number` its place from 1, `total` how many there are, `step_fraction` how far it is.
    """

    step: str = ""
    number: int = 0
    total: int = 0
    step_fraction: float | None = None
    undoing: bool = False


class Run(Job[Any]):
    """A workflow under way, or ended. As a Job it has `result`, `wait`, `done`, `listen`, `cancel`, and can be awaited.

    `cancel()` cancels the job that is running and undoes what was finished. `result()` returns the last step's result, or raises
    WorkflowError (what failed is its cause; `details` has "step", "undone", "not_undone"), or OperationCancelledError.
    """

    def __init__(self, run_id: str, targets: list[VMRef], flow: Workflow, journal: Journal) -> None:
        super().__init__("workflow", names_of(targets))
        self.id, self.name, self.targets = run_id, flow.name, targets
        self.ended_at: float | None = None
        self._journal = journal
        self._steps = StepRecords(flow.node, targets[0], flow.words)
        for entry in journal.entries():
            self._steps.apply(entry)
        self._status: RunStatus = "waiting"
        self._progress: RunProgress = RunProgress(total=len(self._steps), fraction=0.0)
        self._continue: Callable[[bool], Run] | None = None
        self.set_running_or_notify_cancel()

    def __repr__(self) -> str:
        share = f" {self._progress.fraction:.0%}" if not self.done() and self._progress.fraction is not None else ""
        return printable_line(f"<Run {self.id} {self.name or ''} of {self.resource} {self._status}{share}>".replace("  ", " "))

    def __str__(self) -> str:
        return printable(
            "\n".join(
                [
                    f"{self.name or 'workflow'} of {self.resource}: {self._status}",
                    *(f"  {line}" for line in step_lines(self.steps)),
                ]
            )
        )

    @property
    def status(self) -> RunStatus:
        """How it is.

        "done": every step was done, or skipped, or was told to let others continue. "undone": one failed, all is as before.
        "cancelled": as before too, but for what `on_failure("stop")` keeps, and VMs of several whose flow was at its end.
        "failed": something is left as it was when it failed, because it was told to, could not be undone, or nobody could find out
        whether it happened; a person must look: `result()` says at what. Before the end: "waiting" for other runs of its VMs,
        "running", "paused"; and "interrupted" when the process that ran it has ended: another process can resume it.
        """
        return self._status

    @property
    def steps(self) -> tuple[StepRecord, ...]:
        """The steps in the order of the flow."""
        with self._guard:
            return self._steps.all()

    def step(self, path: Path) -> tuple[int, StepRecord | None]:
        """Return a step's number from 1, and the step; 0 and None for what is no step."""
        with self._guard:
            return self._steps.find(path) or (0, None)

    @property
    def progress(self) -> RunProgress:
        """The latest progress; never does I/O."""
        return self._progress

    @property
    def history(self) -> list[Entry]:
        """All that happened, oldest first."""
        return self._journal.entries()

    def as_dict(self) -> dict[str, Any]:
        """Return the run as plain values."""
        error = self.exception() if self.done() else None
        return {
            "id": self.id,
            "name": self.name,
            "status": self._status,
            "vms": [msgspec.to_builtins(t) for t in self.targets],
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "steps": [s.as_dict() for s in self.steps],
            "error": error.as_dict() if error is not None and hasattr(error, "as_dict") else None,
        }

    def resume(self) -> Run:
        """Resume a run that failed and was not rolled back. Finished steps are not repeated. Returns the resumed run.

        Raises:
            InvalidStateError: it runs, or nothing is left to do.
        """
        return self._again("resumed", undo=False)

    def undo(self) -> Run:
        """Take back what a failed run has left: steps that it kept, and those that could not be undone. Returns the run that does.

        A step that nobody knew the end of is looked for on the hypervisor first.

        Raises:
            InvalidStateError: it runs, or nothing is left.
        """
        return self._again("undone", undo=True)

    def _again(self, verb: str, *, undo: bool) -> Run:
        from novacron.errors import InvalidStateError

        if self._status != "failed" or self._continue is None:
            raise InvalidStateError(f"the run is {self._status}; only a failed one can be {verb}")
        return self._continue(undo)

    def continue_by(self, continue_: Callable[[bool], Run]) -> None:
        """Set how a failed run is continued: forward, or backward if its argument is true (for engines)."""
        self._continue = continue_

    def use_journal(self, journal: Journal) -> None:
        """Let a journal be the run's (for engines that have it only once the run is theirs)."""
        with self._guard:
            for entry in journal.entries()[len(self._journal.entries()) :]:
                self._steps.apply(entry)
            self._journal = journal

    def note(self, path: Path, event: Event, **data: Any) -> None:
        """Put on record what happened, and show it (for engines). Raises JournalLostError."""
        entry = self._journal.append(path, event, **data)
        with self._guard:
            self._steps.apply(entry)
        self.report_step(path, Progress())

    def report_step(self, path: Path, progress: Progress) -> None:
        """Note how far a step is (for engines)."""
        with self._guard:
            found = self._steps.find(path)
            if found is None:
                return
            number, step = found
            undoing = step.status in ("undoing", "undone", "undo_failed")
            over: float = self._steps.over
            part = progress.fraction or 0.0
            if self._steps.under_way == 1 and step.status in ("running", "undoing"):
                over += 1 - part if undoing else part
            verb = "undoing " if step.status == "undoing" else ""
            words = step.status if step.status not in ("running", "undoing") else progress.message
            self._progress = RunProgress(
                message=f"{verb}{step.description}{': ' + words if words else ''}",
                fraction=min(1.0, over / max(1, len(self._steps))),
                details=dict(progress.details),
                step=step.description,
                number=number,
                total=len(self._steps),
                step_fraction=progress.fraction,
                undoing=undoing,
            )
        self._tell()

    def set_status(self, status: RunStatus, message: str = "") -> None:
        """Set the status to waiting, running or paused, with the reason (for engines)."""
        if self._status != status or self._progress.message != message:
            self._status = status
            self._progress = msgspec.structs.replace(self._progress, message=message)
            self._tell()

    def end(self, status: RunStatus, result: Any, error: BaseException | None) -> None:
        """End the run (for engines)."""
        self._status, self.ended_at = status, time.time()
        last = self._progress
        fraction = 1.0 if status == "done" else last.fraction
        self._progress = msgspec.structs.replace(last, message=status, fraction=fraction, step_fraction=None)
        self._tell()
        if error is None:
            self.set_result(result)
        else:
            self.set_exception(error)

    def _tell(self) -> None:
        for listener in list(self._listeners):
            try:
                listener(self._progress)
            except Exception:  # noqa: BLE001 - who only watches must not make a migration fail
                self._listeners.remove(listener)


def settled(run: Run, timeout: float | None = None) -> Run:
    """Wait until a run has ended, whatever way. Raises TimeoutError."""
    Future.exception(run, timeout)
    return run


__all__ = ["Run", "RunProgress", "RunStatus", "settled"]
