"""Runs and undoes single steps, with an entry in the journal before and after each."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from novacron.conversion import convert
from novacron.errors import BusyError, HostConnectionError, NovaCronError, ResourceAllocationError, WorkflowError
from novacron.jobs import Progress
from novacron.workflow.composition import Workflow
from novacron.workflow.context import Context, Location
from novacron.workflow.kinds.base import StepKind
from novacron.workflow.nodes import AnyNode, EachNode, StepNode, VMRef, node_at
from novacron.workflow.paths import ROOT, Path
from novacron.workflow.references import resolved
from novacron.workflow.run.environment import Environment
from novacron.workflow.run.journal import Entry, Journal, last, rebuilt, stored, unclear
from novacron.workflow.run.run import Run
from novacron.workflow.run.scope import Scope

UNDO_DELAYS = (0.2, 1.0, 5.0)
"""Seconds before an undo is tried again after an error that may pass: a host out of reach, a busy VM, no free space."""
TEMPORARY = (BusyError, HostConnectionError, ResourceAllocationError)
RAISED = (Exception, SystemExit)
"""What the code of a step or function may raise. It fails then; `sys.exit()` in it must not end the thread of the run."""


class Branch:
    """One thread of a run: where its VM is, what can stop it, the last result, and the results of named steps."""

    __slots__ = ("location", "previous", "results", "scope")

    def __init__(self, location: Location, scope: Scope, previous: Any = None, results: dict[str, Any] | None = None) -> None:
        self.location, self.scope, self.previous = location, scope, previous
        self.results = results if results is not None else {}


class Results:
    """The results of named steps, for what undoes a part: it sees those of its own VM in a loop, not those of other VMs."""

    def __init__(self, flow: AnyNode, vm: VMRef) -> None:
        self._flow, self._vm = flow, vm
        self._found: dict[Path, dict[str, Any]] = {}

    def add(self, path: Path, name: str, result: Any) -> None:
        """Keep the result of a step."""
        self._found.setdefault(_loops_of(self._flow, path, self._vm)[-1], {})[name] = result

    def seen_from(self, path: Path) -> dict[str, Any]:
        """Return the results that a node sees: those outside of all loops, and those of the loops that it is in."""
        found: dict[str, Any] = {}
        for loop in _loops_of(self._flow, path, self._vm):
            found |= self._found.get(loop, {})  # copied at once: other branches add to it meanwhile
        return found


class StepRunner:
    """Runs the steps of one run.

    Attributes:
        failed_path: the first step that failed.
        unclear: the steps with an unknown outcome.
    """

    def __init__(self, flow: Workflow, run: Run, journal: Journal, environment: Environment) -> None:
        self._flow, self._run, self._journal, self._environment = flow, run, journal, environment
        self._results = Results(flow.node, run.targets[0])
        self.failed_path: Path | None = None
        self.unclear: list[Path] = []

    def run(self, node: StepNode, path: Path, branch: Branch) -> Any:
        """Run a step unless it is on record as done, and return its result. Raises NovaCronError."""
        result = self._once(node, path, branch)
        if node.name:
            branch.results[node.name] = result
            self._results.add(path, node.name, result)
        return result

    def results(self, path: Path) -> dict[str, Any]:
        """Return the results of the named steps so far that what undoes the node at a path sees."""
        return self._results.seen_from(path)

    def recall(self) -> None:
        """Take the results of named steps from the journal, for a walk that only undoes."""
        for entry in self._journal.entries():
            if entry.event == "done":
                node, _ = node_at(self._flow.node, entry.path, self._run.targets[0])
                if isinstance(node, StepNode) and node.name:
                    self._results.add(entry.path, node.name, entry.data["result"])

    def _once(self, node: StepNode, path: Path, branch: Branch) -> Any:
        past = last(self._journal, path, "started", "done", "failed")
        if past is not None and past.event == "done":
            branch.location.vm = convert(past.data["vm"], VMRef)
            return past.data["result"]
        if past is not None and past.event == "failed":
            raise self.failed(path, rebuilt(past.data), on_record=True)
        context = self.context(node, path, branch, branch.scope)
        kind = None
        try:
            kind = self._flow.kind(node.kind)
            context.arguments = resolved(node.arguments, branch.results)
            # a process ended in the step, or its end was unknown before the run was resumed
            began = past or (unclear(self._journal, path) if kind.can_probe else None)
            if began is not None:
                found = self.reconciled(node, began, context)
                if found is not None:
                    return self.done(path, found, branch)
            branch.scope.pass_gate()
            if past is None:
                self._begin(kind, node, path, context)
            with self._environment.recorded(kind.function_name, context.ref):
                result = kind.run(context)
        except NovaCronError as error:
            found = self._probed(kind, context, error) if error.outcome == "unknown" else None
            if found is None:
                raise self.failed(path, error) from error.__cause__
            return self.done(path, found, branch)
        except RAISED as error:
            failure = WorkflowError(f"{type(error).__name__}: {error}", hint="the step's own code raised this")
            raise self.failed(path, failure) from error
        return self.done(path, result, branch)

    def _begin(self, kind: StepKind, node: StepNode, path: Path, context: Context) -> None:
        context.before = kind.before(context)
        more = {"arguments": context.arguments} if context.arguments != node.arguments else {}
        self._run.note(path, "started", before=context.before, vm=msgspec.to_builtins(context.ref), **more)

    def reconciled(self, node: StepNode, began: Entry, context: Context) -> Any:
        """Return the result of a step that was begun if it has happened, None if not.

        Raises:
            NovaCronError: nobody can tell, for whatever reason: the outcome is unknown.
        """
        context.before = began.data["before"]
        context.arguments = began.data.get("arguments", context.arguments)
        try:
            return self._flow.kind(node.kind).reconcile(context)
        except NovaCronError as error:
            error.outcome = "unknown"
            raise
        except RAISED as error:
            text = f"its probe failed: {type(error).__name__}: {error}"
            raise WorkflowError(text, outcome="unknown", hint="the step's own code raised this") from error

    def _probed(self, kind: StepKind | None, context: Context, error: NovaCronError) -> Any:
        """Ask whether a step of unknown outcome happened. If it did not, the error's outcome becomes "failed"."""
        if kind is None or not kind.can_probe:
            return None
        try:
            found = kind.probe(context)
        except RAISED:  # still unknown
            return None
        if found is None:
            error.outcome = "failed"
        return found

    def done(self, path: Path, result: Any, branch: Branch) -> Any:
        """Put a step on record as done; return its result as plain values. Raises WorkflowError if it can't be stored."""
        try:
            plain = msgspec.to_builtins(result)
        except (TypeError, ValueError, RecursionError):
            plain = None
        self._run.note(path, "done", result=plain, vm=msgspec.to_builtins(branch.location.vm))
        if plain is None and result is not None:
            raise self.failed(path, WorkflowError(f"its result can't be stored: a {type(result).__name__}"))
        return plain

    def failed(self, path: Path, error: NovaCronError, *, on_record: bool = False) -> NovaCronError:
        """Put a step on record as failed, unless it is; return the error."""
        self.failed_path = path if self.failed_path is None else self.failed_path
        if error.outcome == "unknown" and path not in self.unclear:
            self.unclear.append(path)
        past = self._journal.of(path)
        if not on_record and not (past and past[-1].event == "done"):
            self._run.note(path, "failed", **stored(error))
        return error

    def context(self, node: StepNode, path: Path, branch: Branch, scope: Scope) -> Context:
        """Return what a step sees."""

        def listener(progress: Progress) -> None:
            self._run.report_step(path, progress)

        return Context(
            self._environment.hosts,
            branch.location,
            node.arguments,
            scope=scope,
            listener=listener,
            previous=branch.previous,
            results=branch.results,
            slots=self._environment.slots,
        )

    def undo(self, node: StepNode, path: Path, location: Location, result: Any, *, interrupted: bool) -> None:
        """Undo a step; tries again after errors that may pass.

        Args:
            interrupted: a process has ended within the undo of this step.

        Raises:
            NovaCronError: it could not be undone.
        """
        kind = self._flow.kind(node.kind)
        if kind.describe_undo(node.arguments) is None:
            raise WorkflowError(f"{self._flow.words(node)} can't be undone", hint="declare an undo with .undo(step)")
        context = self.context(node, path, Branch(location, Scope()), Scope())  # a cancelled run is still undone
        started = next((entry for entry in reversed(self._journal.of(path)) if entry.event == "started"), None)
        if started:  # also from before the run was resumed
            context.before = started.data["before"]
            context.arguments = started.data.get("arguments", node.arguments)
        if interrupted:  # the hypervisor may still work on what that process asked for
            kind.settle(context)
        for delay in UNDO_DELAYS:
            try:
                return kind.undo(context, result)
            except NovaCronError as error:
                if error.outcome == "failed" and not isinstance(error, TEMPORARY):
                    raise
                self._run.note(path, "undoing", **stored(error))
                time.sleep(delay)
        return kind.undo(context, result)  # an undo can be repeated


def _loops_of(node: AnyNode, path: Path, vm: VMRef) -> list[Path]:
    """Return the paths of the VMs of all loops that a node is in, the outermost first, after the root."""
    found, inside = [ROOT], ROOT
    for part in path.parts:
        inside = inside / part.name
        inside = inside.attempt(part.attempt) if part.attempt else inside
        if isinstance(node, EachNode):
            found.append(inside)
            node = node.body  # which of the VMs it is need not be known
        else:
            node, vm = node.part(part.name, vm)
    return found


__all__ = ["RAISED", "UNDO_DELAYS", "Branch", "Results", "StepRunner"]
