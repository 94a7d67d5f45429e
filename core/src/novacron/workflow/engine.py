"""What runs flows: a small interface, and the engine that does it in this process."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from novacron.errors import NovaCronError, OperationCancelledError, WorkflowError
from novacron.workflow.composition import Workflow, reference
from novacron.workflow.context import Hosts, Place
from novacron.workflow.describing import describe_step
from novacron.workflow.interpreter import Branch, Interpreter, Left, shown_path
from novacron.workflow.journal import Journal, MemoryJournal
from novacron.workflow.nodes import AnyNode, EachNode, OnFailureNode, ParallelNode, SequenceNode, StepNode, UndoNode, VMRef
from novacron.workflow.run import Run, StepRecord, settled
from novacron.workflow.scope import Scope

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.jobs import Progress


class Engine(Protocol):
    """What runs flows. A durable engine has a journal that survives the process, and finds runs by their ids."""

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

    def journal(self, run_id: str) -> Journal:
        """Return a run's journal, a new one for a new run."""
        ...


class ProcessEngine:
    """Runs flows in threads of this process; what it knows of a run ends with the process."""

    def journal(self, run_id: str) -> Journal:
        """Return a new journal in memory."""
        return MemoryJournal()

    def start(
        self,
        flow: Workflow,
        vms: list[VMHandle],
        *,
        wait: bool = True,
        on_progress: Callable[[Progress], object] | None = None,
        hosts: Mapping[str, HostHandle] | None = None,
    ) -> Run:
        """Begin a run, and wait for its end when `wait`. Ctrl-C while waiting cancels it and waits until it is undone."""
        if not vms:
            raise WorkflowError("the flow has no VM to run for")
        run_id = uuid.uuid4().hex[:12]
        run = self._begin(flow, vms, hosts, on_progress, run_id, self.journal(run_id))
        if wait:
            try:
                settled(run)
            except KeyboardInterrupt:
                run.cancel()
                settled(run)
                raise
        return run

    def _begin(
        self,
        flow: Workflow,
        vms: list[VMHandle],
        hosts: Mapping[str, HostHandle] | None,
        on_progress: Callable[[Progress], object] | None,
        run_id: str,
        journal: Journal,
    ) -> Run:
        targets = [reference(vm) for vm in vms]
        first = targets[0]
        run = Run(run_id, flow.name, targets, list(records(flow.node, "", first)), journal)
        if on_progress is not None:
            run.listen(on_progress)
        places = Hosts(hosts or {}, {vm.host.name: vm.host for vm in vms}, flow.hosts)
        scope = Scope()
        run.on_cancel(lambda: scope.stop(OperationCancelledError("the run was cancelled", resource=run.resource)))

        def go_on() -> Run:
            journal.append("", "resumed")
            return settled(self._begin(flow, vms, hosts, on_progress, run_id, journal))

        run._resume = go_on
        threading.Thread(
            target=conduct, args=(flow, run, journal, places, scope, vms), name=f"novacron-run-{run_id}", daemon=True
        ).start()
        return run


def conduct(flow: Workflow, run: Run, journal: Journal, hosts: Hosts, scope: Scope, vms: list[VMHandle]) -> None:
    """Walk a run's flow to its end, undo what must be, and end the run: all that an engine does in its thread or process."""
    interpreter = Interpreter(flow, run, journal, hosts)
    branch = Branch(Place(run.targets[0]), scope)
    failure: BaseException | None = None
    result: Any = None
    left = False
    try:
        try:
            result = interpreter.execute(flow.node, "", branch)
        except Left as stopped:
            failure, left = stopped.error, True
        except NovaCronError as error:
            failure = error
            interpreter.undo("")
    except BaseException as defect:  # noqa: BLE001 - whoever waits must get an answer
        failure, left = defect, True
    with suppress(Exception):  # it only helps whoever holds the handles; the run has ended
        follow(run, hosts, vms, branch.place)
    if failure is None:
        run.end("done", result, None)
        return
    stuck = [s for s in run.steps if s.status == "undo_failed"]
    cancelled = isinstance(scope.reason, OperationCancelledError)
    status: Any = "failed" if stuck else "cancelled" if cancelled else "failed" if left else "undone"
    run.end(status, None, ended(run, interpreter.failed_path, failure, left=left, cancelled=cancelled))


def ended(run: Run, path: str | None, failure: BaseException, *, left: bool, cancelled: bool) -> NovaCronError:
    """Return the error that tells which step failed, what was undone and what could not be."""
    steps = run.steps
    number = next((i for i, s in enumerate(steps, 1) if path is not None and s.path == shown_path(path)), None)
    where = f"step {number} of {len(steps)}, {steps[number - 1].description}" if number else "the workflow"
    undone = [s.description for s in steps if s.status == "undone"]
    not_undone = [f"{s.description} ({s.undo_error['text']})" for s in steps if s.status == "undo_failed" and s.undo_error]
    kept = [s.description for s in steps if s.status == "done"]
    text = f"the workflow was cancelled at {where}" if cancelled else f"{where} failed: {failure}"
    text += f"; undone: {', '.join(undone)}" if undone else ""
    text += f"; could not be undone: {', '.join(not_undone)}" if not_undone else ""
    text += f"; left as it is: {', '.join(kept)}" if left and kept else ""
    text += "" if undone or not_undone or kept else "; nothing was changed before it"
    unknown = bool(not_undone) or getattr(failure, "outcome", "unknown") == "unknown"
    made = (OperationCancelledError if cancelled else WorkflowError)(
        text, operation="workflow", resource=run.resource, hint=getattr(failure, "hint", None),
        outcome="unknown" if unknown else "failed",
        details={"run": run.id, "step": path, "undone": undone, "not_undone": not_undone, "kept": kept},
    )  # fmt: skip
    made.__cause__ = failure
    return made


def follow(run: Run, hosts: Hosts, vms: list[VMHandle], place: Place) -> None:
    """Let the handles that the run was given be the VMs where they are now, and close what the run connected."""
    where = {vm.id: vm.host.name for vm in vms} | {place.vm.id: place.vm.host}
    for entry in run.history:
        if "vm" in entry.data and len(vms) > 1:
            where[entry.data["vm"]["id"]] = entry.data["vm"]["host"]
    kept = set()
    for vm in vms:
        try:
            host = hosts[where[vm.id]]
            vm.record, vm.host = host.invoke("vm_get", vm=vm.id), host
            kept.add(host.name)
        except NovaCronError:
            pass  # the run's own error says more
    hosts.close(keep=kept)


def records(node: AnyNode, path: str, vm: VMRef) -> Iterator[StepRecord]:
    """Return a waiting record for each step of a flow, in order."""
    if isinstance(node, StepNode):
        yield StepRecord(path=path, description=describe_step(node), vm=vm.name)
    elif isinstance(node, (SequenceNode, ParallelNode)):
        for index, inner in enumerate(node.nodes):
            yield from records(inner, f"{path}/{index}", vm)
    elif isinstance(node, EachNode):
        for each in node.vms:
            yield from records(node.body, f"{path}/{each.id}", each)
    elif isinstance(node, UndoNode):
        yield from records(node.body, path + "/do", vm)
    elif isinstance(node, OnFailureNode):
        yield from records(node.body, path, vm)  # what is done otherwise is added when it comes to that
    else:
        yield from records(node.body, path, vm)


@lru_cache(maxsize=1)
def default_engine() -> Engine:
    """Return the process's engine."""
    return ProcessEngine()


__all__ = ["Engine", "ProcessEngine", "conduct", "default_engine", "ended", "follow", "records"]
