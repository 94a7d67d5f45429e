"""Runs a flow by walking its nodes, every step on record in a journal before and after, so that a walk can be repeated.

A walk over a journal that already has entries repeats no finished step: it takes the result from the journal. A step that was begun
and of which nobody knows how it ended is probed first. So a durable engine needs no more than a durable journal.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

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
from novacron.jobs import Progress
from novacron.workflow.composition import Workflow
from novacron.workflow.context import Context, Hosts, Place
from novacron.workflow.describing import describe_step
from novacron.workflow.functions import resolve
from novacron.workflow.journal import Journal, below, finished, last, rebuilt, stored
from novacron.workflow.kinds import KINDS
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
)
from novacron.workflow.run import Run
from novacron.workflow.scope import Scope

NOT_RETRIED = (AccessDeniedError, AuthenticationError, InvalidSpecError, OperationCancelledError, UnsupportedOperationError)


UNDO_ATTEMPTS = 3
"""How often an undo is tried whose outcome is unknown."""


class Left(Exception):
    """A failure after which nothing is to be undone."""

    def __init__(self, error: NovaCronError) -> None:
        super().__init__(str(error))
        self.error = error


class Branch:
    """One thread of a walk: where its VM is, what can stop it, and the last result."""

    __slots__ = ("place", "previous", "scope")

    def __init__(self, place: Place, scope: Scope, previous: Any = None) -> None:
        self.place, self.scope, self.previous = place, scope, previous


class Interpreter:
    """Walks one run's flow. `failed_path` is the first step that failed."""

    def __init__(self, flow: Workflow, run: Run, journal: Journal, hosts: Hosts) -> None:
        self._flow, self._run, self._journal, self._hosts = flow, run, journal, hosts
        self._nodes: dict[str, tuple[AnyNode, Branch]] = {}
        self.failed_path: str | None = None

    def execute(self, node: AnyNode, path: str, branch: Branch) -> Any:
        """Do a node and return its result. Raises NovaCronError, or Left."""
        branch.previous = result = self._WALK[type(node)](self, node, path, branch)
        return result

    def undo(self, prefix: str) -> bool:
        """Undo what is finished at and below a path, the latest first, and return whether all could be.

        What can't be undone is noted, and the others still are.
        """
        for entry in self._journal.entries():  # where what was undone before this process left its VM
            if entry.event == "undone" and below(entry.path, prefix) and entry.path in self._nodes:
                self._nodes[entry.path][1].place.vm = msgspec.convert(entry.data["vm"], VMRef)
        return all([self._undo_one(e.path, e.data.get("result")) for e in reversed(finished(self._journal, prefix))])  # noqa: C419 - all

    # ---- steps

    def _step(self, node: StepNode, path: str, branch: Branch) -> Any:
        self._nodes[path] = (node, branch)
        past = last(self._journal, path, "started", "done", "failed")
        if past is not None and past.event == "done":
            branch.place.vm = msgspec.convert(past.data["vm"], VMRef)
            self._shown(path, status="done", result=past.data["result"])
            return past.data["result"]
        if past is not None and past.event == "failed":
            raise self._failed(path, rebuilt(past.data), 0.0, on_record=True)
        began = time.monotonic()
        context = self._context(node, path, branch, branch.scope)
        kind = None
        try:
            branch.scope.check()
            kind = KINDS.find(node.kind)
            self._shown(path, status="running", again=True, error=None, vm=branch.place.vm.name, description=describe_step(node))
            if past is not None and past.event == "started":
                context.before = past.data["before"]
                found = kind.probe(context)
                if found is not None:
                    return self._done(path, found, branch, began)
            else:
                context.before = kind.before(context)
                self._journal.append(path, "started", before=context.before, vm=msgspec.to_builtins(branch.place.vm))
            result = kind.run(context)
        except NovaCronError as error:
            found = self._probed(kind, context) if error.outcome == "unknown" else None
            if found is None:
                raise self._failed(path, error, began) from error.__cause__
            return self._done(path, found, branch, began)
        except Exception as error:
            failure = WorkflowError(f"{type(error).__name__}: {error}", hint="the step's own code raised this")
            raise self._failed(path, failure, began) from error
        return self._done(path, result, branch, began)

    def _probed(self, kind: Any, context: Context) -> Any:
        """Ask whether a step of unknown outcome happened; None also when that can't be found out."""
        try:
            return kind.probe(context) if kind is not None else None
        except NovaCronError:
            return None

    def _done(self, path: str, result: Any, branch: Branch, began: float) -> Any:
        try:
            plain = msgspec.to_builtins(result)
        except (TypeError, ValueError):
            plain = None
        self._journal.append(path, "done", result=plain, vm=msgspec.to_builtins(branch.place.vm))
        self._shown(path, status="done", result=plain, seconds=time.monotonic() - began)
        if plain is None and result is not None:
            raise self._failed(path, WorkflowError(f"its result can't be stored: a {type(result).__name__}"), began)
        return plain

    def _failed(self, path: str, error: NovaCronError, began: float, *, on_record: bool = False) -> NovaCronError:
        self.failed_path = self.failed_path or path
        if not on_record and not any(e.path == path for e in finished(self._journal, path)):
            self._journal.append(path, "failed", **stored(error))
            self._shown(path, status="failed", error=stored(error), seconds=time.monotonic() - began)
        return error

    def _context(self, node: StepNode, path: str, branch: Branch, scope: Scope) -> Context:
        def listener(progress: Progress) -> None:
            self._run.step_reports(shown_path(path), progress)

        return Context(self._hosts, branch.place, node.arguments, scope=scope, listener=listener, previous=branch.previous)

    def _shown(self, path: str, *, again: bool = False, **changes: Any) -> None:
        shown = shown_path(path)
        if again:
            known = next((s for s in self._run.steps if s.path == shown), None)
            changes["attempts"] = (known.attempts if known else 0) + 1
        self._run.step_changed(shown, **changes)

    # ---- undoing

    def _undo_one(self, path: str, result: Any) -> bool:
        node, branch = self._nodes[path]
        self._journal.append(path, "undoing")
        shown = [path] if isinstance(node, StepNode) else sorted({e.path for e in self._journal.entries()
                                                                  if e.event == "done" and below(e.path, path + "/do")})  # fmt: skip
        for inner in shown:
            self._shown(inner, status="undoing")
        try:
            if isinstance(node, UndoNode):
                self.execute(node.undo, path + "/undo", Branch(branch.place, Scope(), result))
            elif isinstance(node, StepNode):
                self._undo_step(node, path, branch, result)
        except Exception as raised:  # noqa: BLE001 - noted, and the others are still undone
            cause = raised.error if isinstance(raised, Left) else raised
            error = cause if isinstance(cause, NovaCronError) else WorkflowError(f"{type(cause).__name__}: {cause}")
            self._journal.append(path, "undo_failed", **stored(error))
            for inner in shown:
                self._shown(inner, status="undo_failed", undo_error=stored(error))
            return False
        self._journal.append(path, "undone", vm=msgspec.to_builtins(branch.place.vm))
        for inner in shown:
            self._shown(inner, status="undone")
        return True

    def _undo_step(self, node: StepNode, path: str, branch: Branch, result: Any) -> None:
        kind = KINDS.find(node.kind)
        if kind.describe_undo(node.arguments) is None:
            raise WorkflowError(f"{describe_step(node)} can't be undone", hint="give it a way with .undo(step)")
        context = self._context(node, path, branch, Scope())  # a cancel stops the way there, not the way back
        started = last(self._journal, path, "started")
        context.before = started.data["before"] if started else {}
        for attempt in range(UNDO_ATTEMPTS):
            try:
                return kind.undo(context, result)
            except NovaCronError as error:
                if error.outcome == "failed" or attempt + 1 == UNDO_ATTEMPTS:
                    raise  # otherwise the connection broke: undoing again what is undone changes nothing

    # ---- composition

    def _sequence(self, node: SequenceNode, path: str, branch: Branch) -> Any:
        result = None
        for index, inner in enumerate(node.nodes):
            result = self.execute(inner, f"{path}/{index}", branch)
        return result

    def _parallel(self, node: ParallelNode, path: str, branch: Branch) -> Any:
        scope = Scope(branch.scope)
        failures: list[Exception] = []

        def one(index: int) -> Any:
            try:
                return self.execute(node.nodes[index], f"{path}/{index}", Branch(branch.place, scope, branch.previous))
            except (NovaCronError, Left) as error:
                failures.append(error)
                scope.stop(OperationCancelledError("stopped because a step beside it failed"))
                return None

        with ThreadPoolExecutor(len(node.nodes), thread_name_prefix="novacron-parallel") as pool:
            results = list(pool.map(one, range(len(node.nodes))))
        scope.close()
        if failures:
            raise failures[0]
        return results

    def _each(self, node: EachNode, path: str, branch: Branch) -> Any:
        errors: dict[str, NovaCronError] = {}

        def one(vm: VMRef) -> Any:
            inner = f"{path}/{vm.id}"
            try:
                return self.execute(node.body, inner, Branch(Place(vm), branch.scope, branch.previous))
            except Left as left:
                errors[vm.id] = left.error
            except NovaCronError as error:
                self.undo(inner)
                errors[vm.id] = error
            return None

        with ThreadPoolExecutor(node.max_parallel, thread_name_prefix="novacron-each") as pool:
            results = dict(zip((vm.id for vm in node.vms), pool.map(one, node.vms), strict=True))
        branch.scope.check()
        if errors:
            names = "; ".join(f"{vm.name or vm.id}: {errors[vm.id]}" for vm in node.vms if vm.id in errors)
            first = next(errors[vm.id] for vm in node.vms if vm.id in errors)
            raise WorkflowError(f"{len(errors)} of {len(node.vms)} VMs failed: {names}", hint=first.hint) from first
        return results

    def _when(self, node: WhenNode, path: str, branch: Branch) -> Any:
        if not self._decided(path, "when", lambda: self._holds(node, path, branch)):
            for step in self._run.steps:
                if below(step.path, shown_path(path)):
                    self._shown(step.path, status="skipped")
            self._journal.append(path, "skipped")
            return branch.previous
        return self.execute(node.body, path, branch)

    def _holds(self, node: WhenNode, path: str, branch: Branch) -> bool:
        context = Context(self._hosts, branch.place, {})
        if node.function is not None:
            return bool(self._call(node.function, path, context.vm()))
        record = context.read()
        known: dict[str, Any] = {"status": record.status, "name": record.name, "host": branch.place.vm.host}
        return all(v in (record.tags or ()) if k == "tag" else known.get(k) == v for k, v in node.facts.items())

    def _retry(self, node: RetryNode, path: str, branch: Branch) -> Any:
        for attempt in range(1, node.attempts + 1):
            try:
                return self.execute(node.body, f"{path}~{attempt}", branch)
            except NovaCronError as error:
                if attempt == node.attempts or isinstance(error, NOT_RETRIED) or branch.scope.reason is not None:
                    raise
                if not self.undo(f"{path}~{attempt}"):
                    raise  # the next attempt would not begin where this one did
            self.failed_path = None
            branch.scope.wait(node.delay)
        raise AssertionError("a retry of no attempts is never composed")

    def _timeout(self, node: TimeoutNode, path: str, branch: Branch) -> Any:
        scope = Scope(branch.scope)
        late = OperationTimeoutError(f"it did not end within {node.seconds:g} s", hint="give it a longer timeout")
        timer = threading.Timer(node.seconds, scope.stop, [late])
        timer.daemon = True
        timer.start()
        try:
            return self.execute(node.body, path, Branch(branch.place, scope, branch.previous))
        finally:
            timer.cancel()
            scope.close()

    def _with_undo(self, node: UndoNode, path: str, branch: Branch) -> Any:
        self._nodes[path] = (node, branch)
        result = self.execute(node.body, path + "/do", branch)
        if last(self._journal, path, "done") is None:
            self._journal.append(path, "done", result=result, vm=msgspec.to_builtins(branch.place.vm))
        return result

    def _on_failure(self, node: OnFailureNode, path: str, branch: Branch) -> Any:
        try:
            return self.execute(node.body, path, branch)
        except NovaCronError as error:
            if branch.scope.reason is not None and node.action != "stop":
                raise  # cancelled: nothing goes on, all is undone
            if node.action == "stop":
                raise Left(error) from error
            if node.action == "continue":
                self.failed_path = None
                return branch.previous
            if not self.undo(path) or node.otherwise is None:
                raise
        self.failed_path = None
        return self.execute(node.otherwise, path + "/else", branch)

    def _then(self, node: ThenNode, path: str, branch: Branch) -> Any:
        result = self.execute(node.body, path, branch)
        return self._decided(path, "then", lambda: msgspec.to_builtins(self._call(node.function, path, result)))

    def _decided(self, path: str, what: str, decide: Callable[[], Any]) -> Any:
        """Return what was decided when the walk first came here."""
        past = last(self._journal, f"{path}:{what}", "decided")
        if past is not None:
            return past.data["value"]
        value = decide()
        self._journal.append(f"{path}:{what}", "decided", value=value)
        return value

    def _call(self, name: str, path: str, argument: Any) -> Any:
        function = self._flow.functions.get(name) or resolve(name)
        if function is None:
            raise WorkflowError(f"the function {name!r} is not there", hint="it must be importable where the flow runs")
        try:
            return function(argument)
        except NovaCronError:
            raise
        except Exception as error:
            raise WorkflowError(f"{name} failed: {type(error).__name__}: {error}") from error

    _WALK: dict[type, Callable[..., Any]] = {
        StepNode: _step, SequenceNode: _sequence, ParallelNode: _parallel, EachNode: _each, WhenNode: _when, RetryNode: _retry,
        TimeoutNode: _timeout, UndoNode: _with_undo, OnFailureNode: _on_failure, ThenNode: _then,
    }  # fmt: skip


def shown_path(path: str) -> str:
    """Return a step's path in the flow from its path in a walk, which also counts attempts."""
    return re.sub(r"~\d+", "", path)


__all__ = ["NOT_RETRIED", "UNDO_ATTEMPTS", "Branch", "Interpreter", "Left", "shown_path"]
