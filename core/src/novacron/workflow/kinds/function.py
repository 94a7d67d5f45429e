"""Steps made of functions, and how functions are found again by their names."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from novacron.errors import InvalidSpecError, SpecProblem, WorkflowError
from novacron.workflow.kinds.base import StepKind

if TYPE_CHECKING:
    from novacron.workflow.context import Context


STORABLE = "what can be stored: text, numbers, True, False, None, and lists and mappings of them"
"""What the arguments of a step are."""


def name_of(function: Callable[..., Any]) -> str:
    """Return "module:name" of a function. A script that is run has the name of its file, as when it is loaded as a module."""
    module = getattr(function, "__module__", "?")
    if module == "__main__":
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or "__main__").stem
    return f"{module}:{getattr(function, '__qualname__', type(function).__name__)}"


class Declared:
    """What a decorator made of a function, under the name "module:name": the only code that stored flows can name."""

    name: str


class DeclaredStep(Declared):
    """What `@step` made of a function."""

    kind: FunctionKind


def declared(name: str, of: type[Declared] = Declared) -> Declared | None:
    """Return what a loaded module declared under a name: "module:name", or a short name.

    Nothing is imported. An attribute that was not declared with a decorator under exactly this name is not found.

    Args:
        name: the name.
        of: the class of what is looked for. A step and a flow may have the same short name.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        return _declared_with_short_name(name, of)
    loaded = sys.modules.get(module)
    if loaded is None and name_of_main() == module:
        loaded = sys.modules["__main__"]
    found = vars(loaded).get(attribute) if loaded is not None else None
    return found if isinstance(found, of) and found.name == name else None


def _declared_with_short_name(name: str, of: type[Declared]) -> Declared | None:
    for module in list(sys.modules.values()):
        for found in list(getattr(module, "__dict__", {}).values()):
            if issubclass(type(found), of) and found.name == name:
                return cast(Declared, found)
    return None


def name_of_main() -> str:
    """Return the name that functions of the script that is run have as their module."""
    return Path(getattr(sys.modules["__main__"], "__file__", None) or "__main__").stem


class FunctionKind(StepKind):
    """The kind of a function step."""

    def __init__(self, name: str, function: Callable[..., Any], *, idempotent: bool = False) -> None:
        self.name, self.function, self.idempotent = name, function, idempotent
        self.undo_function: Callable[..., Any] | None = None
        self.probe_function: Callable[..., Any] | None = None
        self.check_function: Callable[..., Any] | None = None

    @property
    def origin(self) -> str:
        return name_of(self.function)

    @property
    def function_name(self) -> str | None:
        return name_of(self.function)

    @property
    def code(self) -> object | None:
        return self.function

    @property
    def local(self) -> bool:
        return "#" in self.name

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def can_probe(self) -> bool:  # type: ignore[override]
        return self.idempotent or self.probe_function is not None

    def prepare(self, **arguments: Any) -> dict[str, Any]:
        try:
            inspect.signature(self.function).bind(None, **arguments)
        except TypeError as error:
            raise WorkflowError(f"{self.function.__name__}: {error}") from None
        changed = [name for name, value in arguments.items() if not _same_when_stored(value)]
        if problems := [SpecProblem(name, type(arguments[name]).__name__, STORABLE) for name in changed]:
            raise InvalidSpecError(f"invalid step {self.function.__name__}", problems=problems)
        return arguments

    def describe(self, arguments: dict[str, Any]) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
        return f"{self.function.__name__}({shown})"

    def describe_undo(self, arguments: dict[str, Any]) -> str | None:
        return (inspect.getdoc(self.undo_function) or "its undo function").partition("\n")[0] if self.undo_function else None

    def check(self, context: Context) -> list[str]:
        return list(self.check_function(context) or ()) if self.check_function else []

    def effect(self, context: Context) -> str:
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def run(self, context: Context) -> Any:
        return self.function(context, **context.arguments)

    def undo(self, context: Context, result: Any) -> None:
        if self.undo_function:
            self.undo_function(context, result)

    def probe(self, context: Context) -> Any:
        return self.probe_function(context) if self.probe_function else None


def _same_when_stored(value: Any) -> bool:
    """Return whether a resumed run, which reads the value from the database, has the same one; a tuple becomes a list."""
    if isinstance(value, list | tuple):
        return all(map(_same_when_stored, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _same_when_stored(inner) for key, inner in value.items())
    if isinstance(value, Enum) and isinstance(value, str | int):
        value = value.value
    return value is None or type(value) in (str, int, bool) or (type(value) is float and math.isfinite(value))


__all__ = ["Declared", "DeclaredStep", "FunctionKind", "declared", "name_of", "name_of_main"]
