"""Runs a flow by walking its nodes, with every step in a journal, so that another process can repeat the walk.

A walk over a journal that already has entries repeats no finished step: it takes the result from the journal. A step that was begun
and has no end on record is probed first. A durable engine therefore only needs a durable journal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context as ThreadContext
from contextvars import copy_context
from typing import Any

import msgspec

from novacron.conversion import convert
from novacron.errors import (
    AccessDeniedError,
    AuthenticationError,
    InvalidSpecError,
    NovaCronError,
    OperationCancelledError,
    OperationTimeoutError,
    UnsupportedOperationError,
    WorkflowError,
)
from novacron.workflow.composition import Workflow, unregistered
from novacron.workflow.context import Context, Location
from novacron.workflow.nodes import (
    AnyNode,
    EachNode,
    OnFailureNode,
    ParallelNode,
    RetryNode,
    SequenceNode,
    StepNode,
    ThenNode,
    TimeoutNode,
    UndoNode,
    VMRef,
    WhenNode,
    node_at,
)
from novacron.workflow.paths import ROOT, Path
from novacron.workflow.run.environment import Environment
from novacron.workflow.run.journal import Journal, finished, last, stored, unclear
from novacron.workflow.run.run import Run
from novacron.workflow.run.scope import Scope
from novacron.workflow.run.step_runner import RAISED, Branch, StepRunner

NOT_RETRIED = (AccessDeniedError, AuthenticationError, InvalidSpecError, OperationCancelledError, UnsupportedOperationError)
"""Errors that another attempt would only repeat."""


class Left(Exception):
    """A failure after which nothing is to be undone."""

    def __init__(self, error: NovaCronError) -> None:
        super().__init__(str(error))
        self.error = error


class Interpreter:
    """Walks the flow of one run."""

    def __init__(self, flow: Workflow, run: Run, journal: Journal, environment: Environment) -> None:
        self._flow, self._run, self._journal, self._environment = flow, run, journal, environment
        self._locations: dict[str, Location] = {}
        self.steps = StepRunner(flow, run, journal, environment)

    def walk(self, scope: Scope) -> Any:
        """Run the whole flow and return its result. Raises NovaCronError, or Left."""
        return self.execute(self._flow.node, ROOT, Branch(self.location(self._run.targets[0]), scope))

    def execute(self, node: AnyNode, path: Path, branch: Branch) -> Any:
        """Run a node and return its result. Raises NovaCronError, or Left."""
        branch.previous = result = self._WALK[type(node)](self, node, path, branch)
        return result

    def location(self, vm: VMRef) -> Location:
        """Return where a VM is: one object for all steps of that VM."""
        return self._locations.setdefault(vm.id, Location(vm))

    # ---- undoing

    def undo(self, prefix: Path) -> bool:
        """Undo what is finished at and below a path, the latest first; return whether everything could be undone.

        What can't be undone is put on record, and the others still are undone.
        """
        self._locate(prefix)
        left = finished(self._journal, prefix)
        return all([self._undo_one(e.path, e.data.get("result")) for e in reversed(left)])  # noqa: C419 - all of them

    def find_out(self, paths: Iterable[Path]) -> None:
        """Ask the hypervisors about steps whose end was unknown. Those that happened can then be undone."""
        self._locate(ROOT)
        for path in paths:
            node, vm = node_at(self._flow.node, path, self._run.targets[0])
            began = unclear(self._journal, path)
            if began is not None and isinstance(node, StepNode):
                branch = Branch(self.location(vm), Scope())
                with suppress(NovaCronError):  # still unknown
                    found = self.steps.reconciled(node, began, self.steps.context(node, path, branch, branch.scope))
                    if found is not None:
                        self.steps.done(path, found, branch)

    def _locate(self, prefix: Path) -> None:
        """Find where the steps left their VMs, also those that an earlier process ran."""
        for entry in self._journal.within(prefix):
            if "vm" in entry.data:
                vm = convert(entry.data["vm"], VMRef)
                self.location(vm).vm = vm

    def _undo_one(self, path: Path, result: Any) -> bool:
        node, vm = node_at(self._flow.node, path, self._run.targets[0])
        location = self.location(vm)
        again = last(self._journal, path, "undoing", "undone", "undo_failed")
        self._run.note(path, "undoing")
        try:
            if isinstance(node, StepNode):
                interrupted = again is not None and again.event == "undoing"
                self.steps.undo(node, path, location, result, interrupted=interrupted)
            else:
                undo, _ = node.part("undo", vm)
                self.execute(undo, path / "undo", Branch(location, Scope(), result, self.steps.results(path)))
        except RAISED as raised:  # put on record, and the others are still undone
            cause = raised.error if isinstance(raised, Left) else raised
            error = cause if isinstance(cause, NovaCronError) else WorkflowError(f"{type(cause).__name__}: {cause}")
            self._run.note(path, "undo_failed", **stored(error))
            return False
        self._run.note(path, "undone", vm=msgspec.to_builtins(location.vm))
        return True

    # ---- the nodes

    def _step(self, node: StepNode, path: Path, branch: Branch) -> Any:
        return self.steps.run(node, path, branch)

    def _sequence(self, node: SequenceNode, path: Path, branch: Branch) -> Any:
        result = None
        for name, inner in node.parts():
            result = self.execute(inner, path / name, branch)
        return result

    def _parallel(self, node: ParallelNode, path: Path, branch: Branch) -> Any:
        scope = Scope(branch.scope)
        failures: list[Exception] = []

        def one(part: tuple[str, AnyNode]) -> Any:
            name, inner = part
            try:
                return self.execute(inner, path / name, Branch(branch.location, scope, branch.previous, branch.results))
            except (NovaCronError, Left) as error:
                failures.append(error)
                scope.stop(OperationCancelledError("stopped because a step beside it failed"))
                return None

        with ThreadPoolExecutor(len(node.nodes), thread_name_prefix="novacron-parallel") as pool:
            results = list(pool.map(_here(one), node.parts(), _contexts()))
        scope.close()
        if failures:
            raise min(failures, key=_was_stopped)  # the first that failed by itself
        return results

    def _each(self, node: EachNode, path: Path, branch: Branch) -> Any:
        errors: dict[str, NovaCronError] = {}

        def one(vm: VMRef) -> Any:
            inner = path / vm.id
            try:
                mine = Branch(self.location(vm), branch.scope, branch.previous, dict(branch.results))
                return self.execute(node.body, inner, mine)
            except Left as left:
                errors[vm.id] = left.error
            except NovaCronError as error:
                self.undo(inner)
                errors[vm.id] = error
            return None

        with ThreadPoolExecutor(node.max_parallel, thread_name_prefix="novacron-each") as pool:
            results = dict(zip((vm.id for vm in node.vms), pool.map(_here(one), node.vms, _contexts()), strict=True))
        branch.scope.check()
        if errors:
            first = next(errors[vm.id] for vm in node.vms if vm.id in errors)
            text = f"{len(errors)} of {len(node.vms)} VMs failed: {_by_error(node.vms, errors)}"
            raise WorkflowError(text, hint=first.hint) from first
        return results

    def _when(self, node: WhenNode, path: Path, branch: Branch) -> Any:
        if not self._decided(path, lambda: self._holds(node, branch)):
            if last(self._journal, path, "skipped") is None:
                self._run.note(path, "skipped")
            return branch.previous
        return self.execute(node.body, path / "body", branch)

    def _holds(self, node: WhenNode, branch: Branch) -> bool:
        context = Context(self._environment.hosts, branch.location, {})
        if node.function is not None:
            return bool(self._call(node.function, branch.location.vm, context.vm()))
        record = context.read()
        known = {"status": record.status, "name": record.name, "host": branch.location.vm.host}
        return bool(node.holds(known, record.tags or ()))

    def _retry(self, node: RetryNode, path: Path, branch: Branch) -> Any:
        for number in range(1, node.attempts + 1):
            attempt = (path / "body").attempt(number)
            try:
                return self.execute(node.body, attempt, branch)
            except NovaCronError as error:
                if number == node.attempts or isinstance(error, NOT_RETRIED) or branch.scope.reason is not None:
                    raise
                if any(unknown.is_within(attempt) for unknown in self.steps.unclear):
                    raise  # a step whose outcome is unknown is not repeated
                if not self.undo(attempt):
                    raise  # the next attempt would not begin where this one did
            self.steps.failed_path = None
            branch.scope.wait(node.delay)
        raise AssertionError("a retry without attempts is never composed")

    def _timeout(self, node: TimeoutNode, path: Path, branch: Branch) -> Any:
        scope = Scope(branch.scope)
        late = OperationTimeoutError(f"it did not end within {node.seconds:g} s", hint="set a longer timeout")
        until = self._decided(path, lambda: time.time() + node.seconds, anew_when_resumed=True)  # however often its process ends
        timer = threading.Timer(max(0.0, min(node.seconds, until - time.time())), scope.stop, [late])
        timer.daemon = True
        timer.start()
        try:
            return self.execute(node.body, path / "body", Branch(branch.location, scope, branch.previous, branch.results))
        finally:
            timer.cancel()
            scope.close()

    def _with_undo(self, node: UndoNode, path: Path, branch: Branch) -> Any:
        result = self.execute(node.body, path / "body", branch)
        if last(self._journal, path, "done") is None:
            self._run.note(path, "done", result=result, vm=msgspec.to_builtins(branch.location.vm))
        return result

    def _on_failure(self, node: OnFailureNode, path: Path, branch: Branch) -> Any:
        try:
            return self.execute(node.body, path / "body", branch)
        except NovaCronError as error:
            if branch.scope.reason is not None and node.action != "stop":
                raise  # cancelled: nothing continues, all is undone
            if node.action == "stop":
                raise Left(error) from error
            if node.action == "continue":
                self.steps.failed_path = None
                return branch.previous
            if not self.undo(path / "body") or node.otherwise is None:
                raise
        self.steps.failed_path = None
        return self.execute(node.otherwise, path / "otherwise", branch)

    def _then(self, node: ThenNode, path: Path, branch: Branch) -> Any:
        result = self.execute(node.body, path / "body", branch)
        return self._decided(path, lambda: self._handed_on(node, branch.location.vm, result))

    def _handed_on(self, node: ThenNode, vm: VMRef, result: Any) -> Any:
        found = self._call(node.function, vm, result)
        try:
            return msgspec.to_builtins(found)
        except (TypeError, ValueError, RecursionError) as error:
            raise WorkflowError(f"the result of {node.function} can't be stored: a {type(found).__name__}") from error

    def _decided(self, path: Path, decide: Callable[[], Any], *, anew_when_resumed: bool = False) -> Any:
        """Return what was decided when the walk first came here, or since the run was resumed."""
        past = last(self._journal, path, "decided")
        if past is not None and anew_when_resumed:
            resumed = [entry.number for entry in self._journal.of(ROOT) if entry.event == "resumed"]
            past = past if max(resumed, default=-1) < past.number else None
        if past is not None:
            return past.data["value"]
        value = decide()
        self._run.note(path, "decided", value=value)
        return value

    def _call(self, name: str, vm: VMRef, argument: Any) -> Any:
        function = self._flow.functions.get(name)
        if function is None:
            raise unregistered(name)
        try:
            with self._environment.recorded(name, vm):
                return function(argument)
        except NovaCronError:
            raise
        except RAISED as error:
            raise WorkflowError(f"{name} failed: {type(error).__name__}: {error}") from error

    _WALK: dict[type, Callable[..., Any]] = {
        StepNode: _step,
        SequenceNode: _sequence,
        ParallelNode: _parallel,
        EachNode: _each,
        WhenNode: _when,
        RetryNode: _retry,
        TimeoutNode: _timeout,
        UndoNode: _with_undo,
        OnFailureNode: _on_failure,
        ThenNode: _then,
    }


def _was_stopped(failure: Exception) -> bool:
    return isinstance(failure.error if isinstance(failure, Left) else failure, OperationCancelledError)


def _by_error(vms: Iterable[VMRef], errors: Mapping[str, NovaCronError]) -> str:
    """Return each error once, after the names of the VMs that failed with it: "web1, web2 and 8 more: the pool is full".

    Errors that differ by the VM's own name only are one: "web1, web2 and 8 more: the VM has no disk".
    """
    failed: dict[str, list[VMRef]] = {}
    for vm in vms:
        if vm.id in errors:
            failed.setdefault(str(errors[vm.id]).replace(repr(vm.name), "the VM"), []).append(vm)
    texts = {text if len(some) > 1 else str(errors[some[0].id]): some for text, some in failed.items()}
    return "; ".join(f"{_first([vm.name or vm.id for vm in some])}: {text}" for text, some in texts.items())


def _first(names: Sequence[str], shown: int = 3) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def _contexts() -> Iterator[ThreadContext]:
    """Return copies of this thread's context, so that branches know which run they belong to."""
    while True:
        yield copy_context()


def _here(function: Callable[[Any], Any]) -> Callable[[Any, ThreadContext], Any]:
    return lambda argument, context: context.run(function, argument)


__all__ = ["NOT_RETRIED", "Interpreter", "Left"]
