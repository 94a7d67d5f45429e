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
from novacron.workflow.nodes import StepNode, VMRef
from novacron.workflow.paths import Path
from novacron.workflow.references import resolved
from novacron.workflow.run.environment import Environment
from novacron.workflow.run.journal import Entry, Journal, finished, last, rebuilt, stored, unclear
from novacron.workflow.run.run import Run
from novacron.workflow.run.scope import Scope

UNDO_DELAYS = (0.2, 1.0, 5.0)
"""Seconds before an undo is tried again after an error that may pass: a host out of reach, a busy VM, no free space."""
TEMPORARY = (BusyError, HostConnectionError, ResourceAllocationError)


class Branch:
    """One thread of a run: where its VM is, what can stop it, the last result, and the results of named steps."""

    __slots__ = ("location", "previous", "results", "scope")

    def __init__(self, location: Location, scope: Scope, previous: Any = None, results: dict[str, Any] | None = None) -> None:
        self.location, self.scope, self.previous = location, scope, previous
        self.results = results if results is not None else {}


class StepRunner:
    """Runs the steps of one run.

    Attributes:
        failed_path: the first step that failed.
        unclear: the steps with an unknown outcome.
    """

    def __init__(self, flow: Workflow, run: Run, journal: Journal, environment: Environment) -> None:
        self._flow, self._run, self._journal, self._environment = flow, run, journal, environment
        self._results: dict[str, Any] = {}
        self.failed_path: Path | None = None
        self.unclear: list[Path] = []

    def run(self, node: StepNode, path: Path, branch: Branch) -> Any:
        """Run a step unless it is on record as done, and return its result. Raises NovaCronError."""
        result = self._once(node, path, branch)
        if node.name:
            branch.results[node.name] = self._results[node.name] = result
        return result

    @property
    def results(self) -> dict[str, Any]:
        """The results of all named steps so far."""
        return dict(self._results)

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
        except Exception as error:
            failure = WorkflowError(f"{type(error).__name__}: {error}", hint="the step's own code raised this")
            raise self.failed(path, failure) from error
        return self.done(path, result, branch)

    def _begin(self, kind: StepKind, node: StepNode, path: Path, context: Context) -> None:
        context.before = kind.before(context)
        more = {"arguments": context.arguments} if context.arguments != node.arguments else {}
        self._run.note(path, "started", before=context.before, vm=msgspec.to_builtins(context.ref), **more)

    def reconciled(self, node: StepNode, began: Entry, context: Context) -> Any:
        """Return the result of a step that was begun if it has happened, None if not. Raises NovaCronError if nobody can tell."""
        context.before = began.data["before"]
        context.arguments = began.data.get("arguments", context.arguments)
        return self._flow.kind(node.kind).reconcile(context)

    def _probed(self, kind: StepKind | None, context: Context, error: NovaCronError) -> Any:
        """Ask whether a step of unknown outcome happened. If it did not, the error's outcome becomes "failed"."""
        if kind is None or not kind.can_probe:
            return None
        try:
            found = kind.probe(context)
        except NovaCronError:
            return None
        if found is None:
            error.outcome = "failed"
        return found

    def done(self, path: Path, result: Any, branch: Branch) -> Any:
        """Put a step on record as done; return its result as plain values. Raises WorkflowError if it can't be stored."""
        try:
            plain = msgspec.to_builtins(result)
        except (TypeError, ValueError):
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
        if not on_record and not any(e.path == path for e in finished(self._journal, path)):
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
        started = last(self._journal, path, "started")
        if started:
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


__all__ = ["UNDO_DELAYS", "Branch", "StepRunner"]
