"""The registry of step kinds, and what a kind of step can do."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from novacron.errors import WorkflowError, either

if TYPE_CHECKING:
    from novacron.workflow.context import Context


class StepKind:
    """A kind of step. `context.arguments` are the step's arguments, `context.before` what `before` returned.

    A kind holds no state: one object serves all steps of all runs. What it returns is stored as JSON.
    """

    name = ""
    undo_description: str | None = None
    """How the step is undone; None when it can't be."""
    can_probe = True
    """Whether `probe` finds out what happened. Without it, a step that nobody knows the end of is not done a second time."""

    @property
    def origin(self) -> str:
        """Where in the code the kind comes from, "module:name"."""
        return f"{type(self).__module__}:{type(self).__qualname__}"

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
        """Return what stands against the step, changing nothing; `context.note` adds what is only worth knowing."""
        return []

    def effect(self, context: Context) -> str:
        """Say what the step would change, and let `context.expected` have it, for the checks of the steps after it."""
        return ""

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
        """Return the step's result if it has happened, None if it hasn't and may be done; asked when nobody knows how it ended."""
        return None

    def reconcile(self, context: Context) -> Any:
        """Find out about a step that a process was in when it ended: as `probe`.

        Raises:
            WorkflowError: nobody can find out.
        """
        if not self.can_probe:
            raise WorkflowError(
                "its process ended in this step, and nothing tells whether it happened", outcome="unknown",
                hint="look for yourself; give the step a probe, or declare it idempotent",
            )  # fmt: skip
        self.settle(context)
        return self.probe(context)

    def settle(self, context: Context) -> None:
        """Wait until the hypervisor has ended what a process that is gone asked it for."""
        context.settle()


class StepKinds:
    """Step kinds by name: the built-in ones, registered ones, and those of plugins (`register_steps`)."""

    def __init__(self) -> None:
        self._kinds: dict[str, StepKind] = {}

    def register(self, kind: StepKind) -> None:
        """Add a kind; one from the same place in the code replaces the older. Raises WorkflowError when the name is taken."""
        if not kind.name:
            raise WorkflowError(f"the step kind {type(kind).__name__} has no name")
        known = self._built_in().get(kind.name) or self._kinds.get(kind.name)
        if known is not None and known.origin != kind.origin:
            raise WorkflowError(f"there is a step {kind.name!r} already")
        self._kinds[kind.name] = kind

    def find(self, name: str) -> StepKind:
        """Return a kind. Raises WorkflowError, naming all that there are."""
        kind = self._built_in().get(name) or self._kinds.get(name)
        if kind is None and ":" in name:
            kind = _imported(name)
        if kind is None:
            kind = _of_operations().get(name) or _of_plugins().get(name)
        if kind is None:
            raise WorkflowError(f"there is no step {name!r}", hint=_near(name, self.names()))
        return kind

    def names(self) -> list[str]:
        """Return the names of all kinds, sorted."""
        return sorted({*self._built_in(), *(n for n in self._kinds if ":" not in n), *_of_operations(), *_of_plugins()})

    def _built_in(self) -> dict[str, StepKind]:
        from novacron.workflow.operations import BUILT_IN

        return BUILT_IN


def _near(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3)
    return f"did you mean {either(near)}? `novacron flow steps` lists all" if near else "`novacron flow steps` lists all"


def _of_operations() -> dict[str, StepKind]:
    from novacron.workflow.calling import operation_steps

    return operation_steps()


def _of_plugins() -> dict[str, StepKind]:
    """Return the kinds of the plugins that are enabled now."""
    from novacron.plugins.application import application_plugins

    offered = [kind for kinds in application_plugins().hook.register_steps() for kind in kinds]
    return {kind.name: kind for kind in (getattr(o, "kind", o) for o in offered)}


def _imported(name: str) -> StepKind | None:
    """Find a function step by "module:name", as a process does that resumes another's run."""
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    kind = getattr(found, "kind", found)
    return kind if isinstance(kind, StepKind) else None


KINDS = StepKinds()  # one for the process, as drivers are: a stored flow names its kinds


def register_step(kind: StepKind) -> StepKind:
    """Make a step kind known in this process; plugins return theirs from the hook `register_steps`."""
    KINDS.register(kind)
    return kind


__all__ = ["KINDS", "StepKind", "StepKinds", "register_step"]
