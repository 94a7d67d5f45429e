"""The registry of step kinds."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator

from novacron.errors import WorkflowError, either
from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.builtin import BUILT_IN
from novacron.workflow.kinds.function import declared


def plugin_kinds() -> Iterator[object]:
    """Return what the enabled application plugins offer with `register_steps`."""
    from novacron.plugins.application import application_plugins

    for offered in application_plugins().hook.register_steps():
        yield from offered


class StepKinds:
    """Step kinds by name: built-in ones, operations on a VM, those of plugins, and registered ones.

    Args:
        offered: returns what plugins offer now: kinds, and function steps.
    """

    def __init__(self, offered: Callable[[], Iterable[object]] = plugin_kinds) -> None:
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
        if kind is None and ":" in name:
            found = getattr(declared(name), "kind", None)
            kind = found if isinstance(found, StepKind) else None
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
        return {kind.name: kind for kind in found if isinstance(kind, StepKind)}


KINDS = StepKinds()


def register_step(kind: StepKind) -> StepKind:
    """Register a step kind in this process. Plugins return theirs from the hook `register_steps`."""
    KINDS.register(kind)
    return kind


__all__ = ["KINDS", "StepKinds", "plugin_kinds", "register_step"]
