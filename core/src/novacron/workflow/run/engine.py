"""What runs flows: the walk of one run to its end, and the engine that does it in this process alone."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from novacron.errors import NovaCronError, OperationCancelledError, WorkflowError
from novacron.workflow.composition import Workflow, reference
from novacron.workflow.hosts import HostResolver, Hosts
from novacron.workflow.paths import ROOT, Path
from novacron.workflow.run.environment import Environment
from novacron.workflow.run.interpreter import Interpreter, Left
from novacron.workflow.run.journal import Journal, last, rebuilt, stored
from novacron.workflow.run.run import Run, RunStatus, settled
from novacron.workflow.run.scope import Scope
from novacron.workflow.run.slots import LocalSlots, Slots

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.jobs import Progress


class Outcome(msgspec.Struct, frozen=True):
    """How a walk ended."""

    status: RunStatus
    result: Any = None
    error: BaseException | None = None


class Engine(Protocol):
    """What runs flows."""

    def start(
        self,
        flow: Workflow,
        vms: list[VMHandle],
        *,
        wait: bool,
        on_progress: Callable[[Progress], object] | None,
        hosts: Mapping[str, HostHandle] | None,
    ) -> Run:
        """Begin a run, and wait for its end when `wait`."""
        ...


class ProcessEngine:
    """Runs flows in threads of this process, without a database. What it knows of a run ends with the process.

    Args:
        resolver: finds hosts by name; the fleet's when None.
        slots: limits migrations; two for each host when None.
    """

    def __init__(self, *, resolver: HostResolver | None = None, slots: Slots | None = None) -> None:
        self._resolver, self._slots = resolver, slots or LocalSlots()

    def journal(self) -> Journal:
        """Return a new journal."""
        return Journal()

    def start(
        self,
        flow: Workflow,
        vms: list[VMHandle],
        *,
        wait: bool = True,
        on_progress: Callable[[Progress], object] | None = None,
        hosts: Mapping[str, HostHandle] | None = None,
    ) -> Run:
        """Begin a run, and wait for its end if `wait`. Ctrl-C while waiting cancels it and waits until it is undone."""
        run = self._begin(flow, vms, hosts, on_progress, uuid.uuid4().hex[:12], self.journal())
        return waited(run) if wait else run

    def _begin(
        self,
        flow: Workflow,
        vms: list[VMHandle],
        hosts: Mapping[str, HostHandle] | None,
        on_progress: Callable[[Progress], object] | None,
        run_id: str,
        journal: Journal,
    ) -> Run:
        run = Run(run_id, [reference(vm) for vm in vms], flow, journal)
        if on_progress is not None:
            run.listen(on_progress)
        known = Hosts(hosts or {}, {vm.host.name: vm.host for vm in vms}, flow.hosts, resolver=self._resolver)
        scope = scope_of(run)

        def again(undo: bool) -> Run:
            if undo:
                prepare_undo(run)
            else:
                journal.append(ROOT, "resumed")
            return settled(self._begin(flow, vms, hosts, on_progress, run_id, journal))

        def work() -> None:
            run.set_status("running")
            try:
                outcome = conduct(flow, run, journal, Environment(known, self._slots), scope)
            except BaseException as lost:  # noqa: BLE001 - whoever waits must get an answer
                outcome = Outcome("interrupted", None, interrupted(run.id, lost))
            follow(run, known, vms)
            run.end(outcome.status, outcome.result, outcome.error)

        run.continue_by(again)
        threading.Thread(target=work, name=f"novacron-run-{run_id}", daemon=True).start()
        return run


def waited(run: Run, interrupted: Callable[[], object] = lambda: None) -> Run:
    """Wait for a run's end; Ctrl-C cancels it, waits until it is undone, and is raised then.

    Args:
        run: the run.
        interrupted: called when Ctrl-C has cancelled the run; a second Ctrl-C may end the process before all is undone.
    """
    try:
        return settled(run)
    except KeyboardInterrupt:
        run.cancel()
        interrupted()
        settled(run)
        raise


def scope_of(run: Run) -> Scope:
    """Return the scope of a whole run: stopped when the run is cancelled."""
    scope = Scope()
    run.on_cancel(lambda: scope.stop(OperationCancelledError("the run was cancelled", resource=run.resource)))
    return scope


def conduct(flow: Workflow, run: Run, journal: Journal, environment: Environment, scope: Scope) -> Outcome:
    """Walk a run's flow from where its journal ends to the flow's end, and undo what must be. Raises JournalLostError."""
    interpreter = Interpreter(flow, run, journal, environment)
    failure: BaseException | None = None
    result: Any = None
    left = cancelled = False
    unwinding = last(journal, ROOT, "unwinding")
    try:
        if unwinding is not None:  # a process ended on the way back
            failure, cancelled = rebuilt(unwinding.data), unwinding.data["cancelled"]
            step = unwinding.data["step"]
            interpreter.steps.failed_path = None if step is None else Path(step)
            interpreter.steps.unclear = [Path(path) for path in unwinding.data["unclear"]]
            interpreter.steps.recall()
            interpreter.find_out(Path(path) for path in unwinding.data.get("find_out", ()))
            interpreter.undo(ROOT)
        else:
            try:
                result = interpreter.walk(scope)
            except Left as stopped:
                failure, left, cancelled = stopped.error, True, _cancelled(scope)
            except NovaCronError as raised:
                failure, cancelled = raised, _cancelled(scope)
                steps = interpreter.steps
                step = None if steps.failed_path is None else str(steps.failed_path)
                known = {"step": step, "unclear": [str(path) for path in steps.unclear], "cancelled": cancelled}
                run.note(ROOT, "unwinding", **stored(raised), **known)
                interpreter.undo(ROOT)
    except Exception as defect:  # noqa: BLE001 - whoever waits must get an answer
        failure, left = defect, True
    if failure is None:
        return Outcome("done", result)
    stuck = [s for s in run.steps if s.status == "undo_failed"]
    unclear = [] if left else interpreter.steps.unclear
    status: RunStatus = "failed" if stuck or unclear else "cancelled" if cancelled else "failed" if left else "undone"
    error = ended(run, interpreter.steps.failed_path, failure, left=left, cancelled=cancelled, unclear=bool(unclear))
    return Outcome(status, None, error)


def _cancelled(scope: Scope) -> bool:
    return isinstance(scope.reason, OperationCancelledError)


def ended(
    run: Run, path: Path | None, failure: BaseException, *, left: bool, cancelled: bool, unclear: bool = False
) -> NovaCronError:
    """Return the error that names the failed step, what was undone, what could not be undone, and steps with an unknown outcome."""
    steps = run.steps
    where = _place(run, path)
    undone = [s.description for s in steps if s.status == "undone"]
    not_undone = [f"{s.description} ({s.undo_error['text']})" for s in steps if s.status == "undo_failed" and s.undo_error]
    kept = [s.description for s in steps if s.status == "done"]
    text = f"the workflow was cancelled at {where}" if cancelled else f"{where} failed: {failure}"
    text += "; whether it happened is not known" if unclear else ""
    text += f"; undone: {_counted(undone)}" if undone else ""
    text += f"; could not be undone: {', '.join(not_undone)}" if not_undone else ""
    text += f"; left as it is: {_counted(kept)}" if left and kept else ""
    text += "" if undone or not_undone or kept or unclear else "; nothing was changed before it"
    unknown = bool(not_undone) or unclear or getattr(failure, "outcome", "unknown") == "unknown"
    details = {
        "run": run.id,
        "step": None if path is None else str(path),
        "undone": undone,
        "not_undone": not_undone,
        "kept": kept,
        "unclear": unclear,
    }
    made = (OperationCancelledError if cancelled else WorkflowError)(
        text,
        operation="workflow",
        resource=run.resource,
        hint=getattr(failure, "hint", None),
        outcome="unknown" if unknown else "failed",
        details=details,
    )
    made.__cause__ = failure
    return made


def _place(run: Run, path: Path | None) -> str:
    """Return the step at which a run ended. Several VMs may end at different ones."""
    if len(run.targets) > 1:
        failed = {step.description for step in run.steps if step.status == "failed"}
        return failed.pop() if len(failed) == 1 else "the workflow"
    number, step = run.step(path) if path is not None else (0, None)
    return f"step {number} of {len(run.steps)}, {step.description}" if step else "the workflow"


def _counted(steps: Iterable[str]) -> str:
    """Return the descriptions of steps; those of several VMs are equal, and are named once with their number."""
    return ", ".join(step if number == 1 else f"{step} ({number} times)" for step, number in Counter(steps).items())


def prepare_undo(run: Run) -> None:
    """Put on record that a run which failed is to be undone now, by the walk that follows."""
    before = [entry.data for entry in run.history if entry.event == "unwinding"]
    failed = [step for step in run.steps if step.status == "failed" and step.error]
    first = [{**(step.error or {}), "step": step.path} for step in failed]
    why = next(iter(before[-1:] + first), {"error": "WorkflowError", "text": "it was left as it was", "step": None})
    asked = [step.path for step in failed if step.error and step.error.get("outcome") == "unknown"]
    run.note(ROOT, "resumed", undo=True)
    run.note(ROOT, "unwinding", **why | {"unclear": [], "cancelled": False, "find_out": asked})


def interrupted(run_id: str, why: BaseException) -> NovaCronError:
    """Return the error of a run that this process can't resume."""
    error = WorkflowError(
        f"the run {run_id} can't go on here: {why}", resource=run_id, outcome="unknown", hint=f"novacron run resume {run_id}"
    )
    error.__cause__ = why
    return error


def follow(run: Run, hosts: Hosts, vms: list[VMHandle]) -> None:
    """Let the handles that the run was given be the VMs where they are now, and close what the run connected."""
    where = {vm.id: vm.host.name for vm in vms}
    for entry in run.history:
        if "vm" in entry.data:
            where[entry.data["vm"]["id"]] = entry.data["vm"]["host"]
    kept = set()
    for vm in vms:
        with suppress(Exception):  # it only helps whoever holds the handles; the run's own error says more
            host = hosts.given(where[vm.id])
            vm.record, vm.host = host.invoke("vm_get", vm=vm.id), host
            kept.add(host.name)
    hosts.close(keep=kept)


__all__ = [
    "Engine",
    "Outcome",
    "ProcessEngine",
    "conduct",
    "ended",
    "follow",
    "interrupted",
    "scope_of",
    "prepare_undo",
    "waited",
]
