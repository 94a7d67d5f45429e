"""A workflow under way: its steps, progress, cancellation, history, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from novacron.jobs import Job, Progress
from novacron.units import format_duration
from novacron.workflow.journal import Entry, Journal

if TYPE_CHECKING:
    from novacron.workflow.nodes import VMRef

StepStatus = Literal["waiting", "running", "done", "failed", "skipped", "undoing", "undone", "undo_failed"]
RunStatus = Literal["running", "done", "undone", "failed", "cancelled"]

_MARKS = {
    "waiting": " ", "running": ">", "done": "+", "failed": "!", "skipped": "-", "undoing": "<", "undone": "<", "undo_failed": "X",
}  # fmt: skip


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a run. `error` and `undo_error` are as NovaCronError.as_dict, and `text`.

    `seconds` is how long it took, None before its end.
    """

    path: str
    description: str
    vm: str
    status: StepStatus = "waiting"
    result: Any = None
    error: dict[str, Any] | None = None
    undo_error: dict[str, Any] | None = None
    seconds: float | None = None
    attempts: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        result: dict[str, Any] = msgspec.to_builtins(self)
        return result

    def __str__(self) -> str:
        why = self.error or self.undo_error
        took = "" if self.seconds is None else f"  {format_duration(self.seconds)}"
        return f"{_MARKS[self.status]} {self.description}  {self.status}{took}{'  ' + str(why['text']) if why else ''}"


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

    def __init__(self, run_id: str, name: str, targets: list[VMRef], steps: list[StepRecord], journal: Journal) -> None:
        super().__init__("workflow", ", ".join(t.name or t.id for t in targets))
        self.id, self.name, self.targets = run_id, name, targets
        self.ended_at: float | None = None
        self._journal = journal
        self._steps = {s.path: s for s in steps}
        self._status: RunStatus = "running"
        self._progress: RunProgress = RunProgress(total=len(steps))
        self._resume: Callable[[], Run] | None = None
        self.set_running_or_notify_cancel()

    def __repr__(self) -> str:
        share = f" {self._progress.fraction:.0%}" if self._status == "running" and self._progress.fraction is not None else ""
        return f"<Run {self.id} {self.name or ''} of {self.resource} {self._status}{share}>".replace("  ", " ")

    def __str__(self) -> str:
        return "\n".join([f"{self.name or 'workflow'} of {self.resource}: {self._status}", *(f"  {s}" for s in self.steps)])

    @property
    def status(self) -> RunStatus:
        """How it is.

        "done": every step was done, or skipped, or was told to let others continue. "undone": one failed, all is as before.
        "cancelled": as before too, but for what `on_failure("stop")` keeps, and VMs of several whose flow was at its end.
        "failed": something is left as it was when it failed, because it was told to, or could not be undone; `result()` says what.
        """
        return self._status

    @property
    def steps(self) -> tuple[StepRecord, ...]:
        """The steps in the order of the flow."""
        return tuple(self._steps.values())

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
            "id": self.id, "name": self.name, "status": self._status, "vms": [msgspec.to_builtins(t) for t in self.targets],
            "started_at": self.started_at, "ended_at": self.ended_at, "steps": [s.as_dict() for s in self.steps],
            "error": error.as_dict() if error is not None and hasattr(error, "as_dict") else None,
        }  # fmt: skip

    def resume(self) -> Run:
        """Go on with a run that failed and was left as it was: finished steps are not repeated. Returns the run that goes on.

        Raises:
            InvalidStateError: it runs, or nothing is left to do.
        """
        from novacron.errors import InvalidStateError

        if self._status != "failed" or self._resume is None:
            raise InvalidStateError(f"the run is {self._status}; only a failed one can be resumed")
        return self._resume()

    def step_changed(self, path: str, **changes: Any) -> None:
        """Note what became of a step (for engines)."""
        with self._guard:
            if path not in self._steps:
                self._steps[path] = StepRecord(path=path, description=changes.pop("description", path), vm=changes.pop("vm", ""))
            changes = {k: v for k, v in changes.items() if k not in ("description", "vm")}
            self._steps[path] = msgspec.structs.replace(self._steps[path], **changes)
        self.step_reports(path, Progress())

    def step_reports(self, path: str, progress: Progress) -> None:
        """Note how far a step is (for engines)."""
        with self._guard:
            steps = list(self._steps.values())
            step = self._steps.get(path)
            undoing = step is not None and step.status in ("undoing", "undone", "undo_failed")
            over = sum(
                s.status not in ("waiting", "running", "undoing") for s in steps if s.status not in ("undone", "undo_failed")
            )
            part = progress.fraction or 0.0
            running = [s for s in steps if s.status in ("running", "undoing")]
            if len(running) == 1 and running[0].path == path:
                over = over + (1 - part if undoing else part)  # type: ignore[assignment]
            if step is None:
                return
            verb = "undoing " if step.status == "undoing" else ""
            words = step.status if step.status not in ("running", "undoing") else progress.message
            self._progress = RunProgress(
                message=f"{verb}{step.description}{': ' + words if words else ''}", fraction=min(1.0, over / max(1, len(steps))),
                details=dict(progress.details), step=step.description, number=[s.path for s in steps].index(path) + 1,
                total=len(steps), step_fraction=progress.fraction, undoing=undoing,
            )  # fmt: skip
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


__all__ = ["Run", "RunProgress", "RunStatus", "StepRecord", "StepStatus", "settled"]
