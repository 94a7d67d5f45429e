"""What a kind of step can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import WorkflowError

if TYPE_CHECKING:
    from novacron.workflow.context import Context


NAMED = frozenset({"VM", "disk", "snapshot"})
"""Kinds of names of which a VM, or its host, has each only once."""


class StepKind:
    """A kind of step. `context.arguments` are the step's arguments, `context.before` what `before` returned.

    A kind holds no state: one object serves all steps of all runs. What it returns is stored as JSON.
    """

    name = ""
    undo_description: str | None = None
    """How the step is undone; None when it can't be."""
    can_probe = True
    """Whether `probe` can determine the outcome. Without it, a step with an unknown outcome is not repeated."""

    frees: frozenset[str] = NAMED
    """The kinds of names that the step may free: all of them unless it is known to leave them."""

    @property
    def origin(self) -> str:
        """Where in the code the kind comes from, "module:name"."""
        return f"{type(self).__module__}:{type(self).__qualname__}"

    @property
    def function_name(self) -> str | None:
        """The "module:name" of the function that the step calls; None if it calls none."""
        return None

    @property
    def code(self) -> object | None:
        """The code whose changes matter for a run that is resumed; None for kinds that come with NovaCron."""
        return None

    @property
    def local(self) -> bool:
        """Whether only this process knows the kind, so that a flow that uses it can't be stored."""
        return False

    @property
    def summary(self) -> str:
        """What the step does, in one sentence."""
        return (type(self).__doc__ or "").partition("\n")[0]

    def prepare(self, **arguments: Any) -> dict[str, Any]:
        """Validate arguments when the flow is composed; return them as plain values. Raises InvalidSpecError."""
        return arguments

    def describe(self, arguments: dict[str, Any]) -> str:
        """Say what the step does, "migrate to kvm2"."""
        shown = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
        return f"{self.name}({shown})" if shown else self.name

    def describe_undo(self, arguments: dict[str, Any]) -> str | None:
        """Say how the step is undone, None when it can't be."""
        return self.undo_description

    def check(self, context: Context) -> list[str]:
        """Return the problems that the step would fail with. Changes nothing. `context.note` adds remarks that are no problems."""
        return []

    def effect(self, context: Context) -> str:
        """Say what the step would change, and let `context.expected` have it, for the checks of the steps after it."""
        return ""

    def takes(self, arguments: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        """Return the names that the step takes, each with its kind: a flow that takes one twice is refused before its first step."""
        return ()

    def before(self, context: Context) -> dict[str, Any]:
        """Return what undo and probe must know of the state before; stored before the step begins."""
        return {}

    def run(self, context: Context) -> Any:
        """Do it; return a JSON-able result."""
        raise NotImplementedError

    def undo(self, context: Context, result: Any) -> None:
        """Bring back the state before. Only called when `describe_undo` says how."""
        raise NotImplementedError

    def probe(self, context: Context) -> Any:
        """Return the step's result if it took effect, None if it did not. Called if the outcome of the step is unknown."""
        return None

    def reconcile(self, context: Context) -> Any:
        """Find out about a step that a process was in when it ended: as `probe`.

        Raises:
            WorkflowError: nobody can find out.
        """
        if not self.can_probe:
            raise WorkflowError(
                "its process ended in this step, and nothing tells whether it happened",
                outcome="unknown",
                hint="look for yourself; give the step a probe, or declare it idempotent",
            )
        self.settle(context)
        return self.probe(context)

    def settle(self, context: Context) -> None:
        """Wait until the hypervisor has ended what a process that is gone asked it for."""
        context.settle()


__all__ = ["NAMED", "StepKind"]
