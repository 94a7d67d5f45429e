"""The registry of step kinds."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

from novacron.errors import WorkflowError, either
from novacron.plugins.names import by_name
from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.builtin import BUILT_IN
from novacron.workflow.kinds.function import DeclaredStep, declared


class StepKinds:
    """Step kinds by name: built-in ones, operations on a VM, those of plugins, and registered ones.

    Args:
        offered: returns what plugins offer now: kinds, and function steps.
    """

    def __init__(self, offered: Callable[[], Iterable[object]] = tuple) -> None:
        self._registered: dict[str, StepKind] = {}
        self._operations: dict[str, StepKind] | None = None
        self._offered = offered

    def register(self, kind: StepKind) -> None:
        """Add a kind. One from the same place in the code replaces the older one.

        Raises:
            WorkflowError: the kind has no name, or the name is taken.
        """
        if not kind.name:
            raise WorkflowError(f"the step kind {type(kind).__name__} has no name")
        known = BUILT_IN.get(kind.name) or self._registered.get(kind.name)
        if known is not None and known.origin != kind.origin:
            raise WorkflowError(f"there is a step {kind.name!r} already")
        self._registered[kind.name] = kind

    def find(self, name: str) -> StepKind:
        """Return a kind. Nothing is imported.

        Raises:
            WorkflowError: no such kind is registered. The hint names similar ones.
        """
        kind = BUILT_IN.get(name) or self._registered.get(name) or self._of_operations().get(name) or self._of_plugins().get(name)
        if kind is None:
            kind = getattr(declared(name, DeclaredStep), "kind", None)
        if kind is None:
            raise WorkflowError(f"there is no step {name!r}", hint=self._hint(name))
        return kind

    def names(self) -> list[str]:
        """Return the names of all kinds that have a short name, sorted."""
        registered = (name for name in self._registered if ":" not in name)
        return sorted({*BUILT_IN, *registered, *self._of_operations(), *self._of_plugins()})

    def _hint(self, name: str) -> str:
        if ":" in name:
            return "a function is a step only if it is decorated with @step in a module that is loaded here: give --load MODULE"
        near = difflib.get_close_matches(name, self.names(), n=3)
        return f"did you mean {either(near)}? `novacron flow steps` lists all" if near else "`novacron flow steps` lists all"

    def _of_operations(self) -> dict[str, StepKind]:
        if self._operations is None:
            from novacron.workflow.kinds.operation import operation_kinds

            self._operations = operation_kinds()
        return self._operations

    def _of_plugins(self) -> dict[str, StepKind]:
        found = (getattr(offered, "kind", offered) for offered in self._offered())
        return by_name("step", (kind for kind in found if isinstance(kind, StepKind)))


def default_kinds() -> StepKinds:
    """Return the step kinds of the default site."""
    from novacron.workflow.defaults import default_site

    return default_site().step_kinds


def register_step(kind: StepKind) -> StepKind:
    """Register a step kind with the default site. Plugins return theirs from the hook `register_steps`."""
    default_kinds().register(kind)
    return kind


__all__ = ["StepKinds", "default_kinds", "register_step"]
