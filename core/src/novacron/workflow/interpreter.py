"""Runs a flow by walking its nodes, every step on record in a journal before and after, so that a walk can be repeated.

A walk over a journal that already has entries repeats no finished step: it takes the result from the journal. A step that was begun
and of which nobody knows how it ended is probed first. So a durable engine needs no more than a durable journal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context as ThreadContext
from contextvars import copy_context
from typing import Any

import msgspec

from novacron.errors import (
    AccessDeniedError,
    AuthenticationError,
    BusyError,
    HostConnectionError,
    InvalidSpecError,
    NovaCronError,
    OperationCancelledError,
    OperationTimeoutError,
    ResourceAllocationError,
    UnsupportedOperationError,
    WorkflowError,
)
from novacron.jobs import Progress
from novacron.workflow.composition import Workflow
from novacron.workflow.context import Context, Hosts, Place
from novacron.workflow.describing import describe_step
from novacron.workflow.functions import resolve
from novacron.workflow.journal import Entry, Journal, finished, last, rebuilt, stored, unclear
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
from novacron.workflow.paths import below, else_path, node_at, nth
from novacron.workflow.results import resolved
from novacron.workflow.run import Run
from novacron.workflow.scope import Scope

NOT_RETRIED = (AccessDeniedError, AuthenticationError, InvalidSpecError, OperationCancelledError, UnsupportedOperationError)


UNDO_DELAYS = (0.2, 1.0, 5.0)
"""Seconds before an undo is tried again that failed for what may pass: a host out of reach, a VM that is busy, no room."""
MAY_PASS = (BusyError, HostConnectionError, ResourceAllocationError)


class Left(Exception):
    """A failure after which nothing is to be undone."""

    def __init__(self, error: NovaCronError) -> None:
        super().__init__(str(error))
        self.error = error


class Branch:
    """One thread of a walk: where its VM is, what can stop it, the last result, and the results of steps with names."""

    __slots__ = ("place", "previous", "results", "scope")

    def __init__(self, place: Place, scope: Scope, previous: Any = None, results: dict[str, Any] | None = None) -> None:
        self.place, self.scope, self.previous = place, scope, previous
        self.results = results if results is not None else {}


class Interpreter:
    """Walks one run's flow. `failed_path` is the first step that failed; `unclear` are the steps that nobody knows the end of."""

    def __init__(self, flow: Workflow, run: Run, journal: Journal, hosts: Hosts) -> None:
        self._flow, self._run, self._journal, self._hosts = flow, run, journal, hosts
        self._places: dict[str, Place] = {}
        self._results: dict[str, Any] = {}
        self.failed_path: str | None = None
        self.unclear: list[str] = []

    def walk(self, scope: Scope) -> Any:
        """Do the whole flow and return its result. Raises NovaCronError, or Left."""
        return self.execute(self._flow.node, "", Branch(self.place(self._run.targets[0]), scope))

    def execute(self, node: AnyNode, path: str, branch: Branch) -> Any:
        """Do a node and return its result. Raises NovaCronError, or Left."""
        branch.previous = result = self._WALK[type(node)](self, node, path, branch)
        return result

    def place(self, vm: VMRef) -> Place:
        """Return where a VM is: one place for all that deals with it."""
        return self._places.setdefault(vm.id, Place(vm))

    def undo(self, prefix: str) -> bool:
        """Undo what is finished at and below a path, the latest first, and return whether all could be.

        What can't be undone is noted, and the others still are.
        """
        self._locate(prefix)
        left = finished(self._journal, prefix)
        return all([self._undo_one(e.path, e.data.get("result")) for e in reversed(left)])  # noqa: C419 - all of them

    def find_out(self, paths: Iterable[str]) -> None:
        """Ask the hypervisors about steps whose end nobody knew: what happened after all can be undone."""
        self._locate("")
        for path in paths:
            node, vm = node_at(self._flow.node, path, self._run.targets[0])
            began = unclear(self._journal, path)
            if began is not None and isinstance(node, StepNode):
                branch = Branch(self.place(vm), Scope())
                with suppress(NovaCronError):  # still not to be found out
                    found = self._reconciled(node, began, self._context(node, path, branch, branch.scope))
                    if found is not None:
                        self._done(path, found, branch)

    def _locate(self, prefix: str) -> None:
        """Find where the steps left their VMs, also in a process before this one."""
        for entry in self._journal.entries():
            if "vm" in entry.data and below(entry.path, prefix):
                vm = msgspec.convert(entry.data["vm"], VMRef)
                self.place(vm).vm = vm

    # ---- steps

    def _step(self, node: StepNode, path: str, branch: Branch) -> Any:
        result = self._one_step(node, path, branch)
        if node.name:
            branch.results[node.name] = self._results[node.name] = result
        return result

    def _one_step(self, node: StepNode, path: str, branch: Branch) -> Any:
        past = last(self._journal, path, "started", "done", "failed")
        if past is not None and past.event == "done":
            branch.place.vm = msgspec.convert(past.data["vm"], VMRef)
            return past.data["result"]
        if past is not None and past.event == "failed":
            raise self._failed(path, rebuilt(past.data), on_record=True)
        context = self._context(node, path, branch, branch.scope)
        kind = None
        try:
            kind = KINDS.find(node.kind)
            context.arguments = resolved(node.arguments, branch.results)
            began = past or (unclear(self._journal, path) if kind.can_probe else None)
            if began is not None:  # by a process that ended in it; or before, and nobody knew how it ended
                found = self._reconciled(node, began, context)
                if found is not None:
                    return self._done(path, found, branch)
            branch.scope.pass_gate()
            if past is None:
                context.before = kind.before(context)
                more = {"arguments": context.arguments} if context.arguments != node.arguments else {}
                self._run.note(path, "started", before=context.before, vm=msgspec.to_builtins(branch.place.vm), **more)
            result = kind.run(context)
        except NovaCronError as error:
            found = self._probed(kind, context, error) if error.outcome == "unknown" else None
            if found is None:
                raise self._failed(path, error) from error.__cause__
            return self._done(path, found, branch)
        except Exception as error:
            failure = WorkflowError(f"{type(error).__name__}: {error}", hint="the step's own code raised this")
            raise self._failed(path, failure) from error
        return self._done(path, result, branch)

    def _reconciled(self, node: StepNode, began: Entry, context: Context) -> Any:
        """Return the result of a step if it has happened. Raises NovaCronError when nobody can find out."""
        context.before = began.data["before"]
        context.arguments = began.data.get("arguments", context.arguments)
        return KINDS.find(node.kind).reconcile(context)

    def _probed(self, kind: Any, context: Context, error: NovaCronError) -> Any:
        """Ask whether a step of unknown outcome happened; the error is told when that can't be found out."""
        if kind is None or not kind.can_probe:
            return None
        try:
            found = kind.probe(context)
        except NovaCronError:
            return None
        if found is None:
            error.outcome = "failed"  # it is known now
        return found

    def _done(self, path: str, result: Any, branch: Branch) -> Any:
        try:
            plain = msgspec.to_builtins(result)
        except (TypeError, ValueError):
            plain = None
        self._run.note(path, "done", result=plain, vm=msgspec.to_builtins(branch.place.vm))
        if plain is None and result is not None:
            raise self._failed(path, WorkflowError(f"its result can't be stored: a {type(result).__name__}"))
        return plain

    def _failed(self, path: str, error: NovaCronError, *, on_record: bool = False) -> NovaCronError:
        self.failed_path = self.failed_path or path
        if error.outcome == "unknown" and path not in self.unclear:
            self.unclear.append(path)
        if not on_record and not any(e.path == path for e in finished(self._journal, path)):
            self._run.note(path, "failed", **stored(error))
        return error

    def _context(self, node: StepNode, path: str, branch: Branch, scope: Scope) -> Context:
        def listener(progress: Progress) -> None:
            self._run.step_reports(path, progress)

        return Context(
            self._hosts,
            branch.place,
            node.arguments,
            scope=scope,
            listener=listener,
            previous=branch.previous,
            results=branch.results,
        )

    # ---- undoing

    def _undo_one(self, path: str, result: Any) -> bool:
        node, vm = node_at(self._flow.node, path, self._run.targets[0])
        place = self.place(vm)
        again = last(self._journal, path, "undoing", "undone", "undo_failed")
        self._run.note(path, "undoing")
        try:
            if isinstance(node, UndoNode):
                self.execute(node.undo, path + "/undo", Branch(place, Scope(), result, dict(self._results)))
            else:
                self._undo_step(node, path, place, result, again=again is not None and again.event == "undoing")
        except Exception as raised:  # noqa: BLE001 - noted, and the others are still undone
            cause = raised.error if isinstance(raised, Left) else raised
            error = cause if isinstance(cause, NovaCronError) else WorkflowError(f"{type(cause).__name__}: {cause}")
            self._run.note(path, "undo_failed", **stored(error))
            return False
        self._run.note(path, "undone", vm=msgspec.to_builtins(place.vm))
        return True

    def _undo_step(self, node: StepNode, path: str, place: Place, result: Any, *, again: bool) -> None:
        kind = KINDS.find(node.kind)
        if kind.describe_undo(node.arguments) is None:
            raise WorkflowError(f"{describe_step(node)} can't be undone", hint="give it a way with .undo(step)")
        context = self._context(node, path, Branch(place, Scope()), Scope())  # a cancel stops the way there, not the way back
        started = last(self._journal, path, "started")
        if started:
            context.before = started.data["before"]
            context.arguments = started.data.get("arguments", node.arguments)
        if again:  # a process ended in it, and the hypervisor may not have
            kind.settle(context)
        for delay in UNDO_DELAYS:
            try:
                return kind.undo(context, result)
            except NovaCronError as error:
                if error.outcome == "failed" and not isinstance(error, MAY_PASS):
                    raise
                self._run.note(path, "undoing", **stored(error))
                time.sleep(delay)
        return kind.undo(context, result)  # undoing again what is undone changes nothing

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
                return self.execute(
                    node.nodes[index], f"{path}/{index}", Branch(branch.place, scope, branch.previous, branch.results)
                )
            except (NovaCronError, Left) as error:
                failures.append(error)
                scope.stop(OperationCancelledError("stopped because a step beside it failed"))
                return None

        with ThreadPoolExecutor(len(node.nodes), thread_name_prefix="novacron-parallel") as pool:
            results = list(pool.map(_here(one), range(len(node.nodes)), _contexts()))
        scope.close()
        if failures:
            raise failures[0]
        return results

    def _each(self, node: EachNode, path: str, branch: Branch) -> Any:
        errors: dict[str, NovaCronError] = {}

        def one(vm: VMRef) -> Any:
            inner = f"{path}/{vm.id}"
            try:
                mine = Branch(self.place(vm), branch.scope, branch.previous, dict(branch.results))
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
            names = "; ".join(f"{vm.name or vm.id}: {errors[vm.id]}" for vm in node.vms if vm.id in errors)
            first = next(errors[vm.id] for vm in node.vms if vm.id in errors)
            raise WorkflowError(f"{len(errors)} of {len(node.vms)} VMs failed: {names}", hint=first.hint) from first
        return results

    def _when(self, node: WhenNode, path: str, branch: Branch) -> Any:
        if not self._decided(node, path, lambda: self._holds(node, path, branch)):
            if last(self._journal, path, "skipped") is None:
                self._run.note(path, "skipped")
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
        until = self._decided(node, path, lambda: time.time() + node.seconds)  # however often its process ends
        timer = threading.Timer(max(0.0, min(node.seconds, until - time.time())), scope.stop, [late])
        timer.daemon = True
        timer.start()
        try:
            return self.execute(node.body, path, Branch(branch.place, scope, branch.previous, branch.results))
        finally:
            timer.cancel()
            scope.close()

    def _with_undo(self, node: UndoNode, path: str, branch: Branch) -> Any:
        result = self.execute(node.body, path + "/do", branch)
        if last(self._journal, path, "done") is None:
            self._run.note(path, "done", result=result, vm=msgspec.to_builtins(branch.place.vm))
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
        return self.execute(node.otherwise, else_path(node, path), branch)

    def _then(self, node: ThenNode, path: str, branch: Branch) -> Any:
        result = self.execute(node.body, path, branch)
        return self._decided(node, path, lambda: msgspec.to_builtins(self._call(node.function, path, result)))

    def _decided(self, node: WhenNode | ThenNode | TimeoutNode, path: str, decide: Callable[[], Any]) -> Any:
        """Return what was decided when the walk first came here."""
        key = f"{path}:{_tag(node)}{nth(node) or ''}"
        past = last(self._journal, key, "decided")
        if past is not None:
            return past.data["value"]
        value = decide()
        self._run.note(key, "decided", value=value)
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


def _contexts() -> Iterator[ThreadContext]:
    """Return this thread's context again and again: what branches know of the run that they are of."""
    while True:
        yield copy_context()


def _here(function: Callable[[Any], Any]) -> Callable[[Any, ThreadContext], Any]:
    return lambda argument, context: context.run(function, argument)


def _tag(node: AnyNode) -> str:
    return str(type(node).__struct_config__.tag)


__all__ = ["NOT_RETRIED", "UNDO_DELAYS", "Branch", "Interpreter", "Left"]
