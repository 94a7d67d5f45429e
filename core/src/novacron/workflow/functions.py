"""Functions in workflows: `@step` makes one a step; conditions and `then` name them, so that a flow stays data."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, overload

from novacron.errors import WorkflowError
from novacron.workflow.composition import Workflow
from novacron.workflow.kinds import StepKind, register_step
from novacron.workflow.nodes import StepNode

if TYPE_CHECKING:
    from novacron.workflow.context import Context

F = TypeVar("F", bound=Callable[..., Any])


class _FunctionKind(StepKind):
    """The kind of a function step."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function
        self.undo_function: Callable[..., Any] | None = None
        self.probe_function: Callable[..., Any] | None = None
        self.check_function: Callable[..., Any] | None = None

    @property
    def origin(self) -> str:
        return name_of(self.function)

    def prepare(self, **arguments: Any) -> dict[str, Any]:
        try:
            inspect.signature(self.function).bind(None, **arguments)
        except TypeError as error:
            raise WorkflowError(f"{self.function.__name__}: {error}") from None
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


class FunctionStep:
    """A function as a step: call it with arguments (but the context) for a flow.

    Example:
        >>> @step
        ... def label(context, text):
        ...     return text.upper()
        >>> @label.undo
        ... def unlabel(context, result):
        ...     "take the label off"
        >>> label(text="x")
        <Workflow label(text='x')>
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        local = name is None and "<" in name_of(function)  # another call of what defines it makes another step
        self.kind = _FunctionKind(name or name_of(function) + (f"#{id(function):x}" if local else ""), function)
        self._local = {self.kind.name: function} if local else {}
        self.__name__ = getattr(function, "__name__", self.kind.name)
        self.__doc__ = function.__doc__ or self.__doc__
        register_step(self.kind)

    def __repr__(self) -> str:
        return f"<step {self.kind.name}>"

    def __call__(self, **arguments: Any) -> Workflow:
        """Return a flow of this step."""
        return Workflow(StepNode(kind=self.kind.name, arguments=self.kind.prepare(**arguments)), functions=self._local)

    def undo(self, function: F) -> F:
        """Undo the step with `function(context, result)`; its first line says how, in plans."""
        self.kind.undo_function = function
        return function

    def probe(self, function: F) -> F:
        """Find out with `function(context)` whether the step has happened: its result, or None."""
        self.kind.probe_function = function
        return function

    def check(self, function: F) -> F:
        """Find out with `function(context)` what stands against the step: a list of problems."""
        self.kind.check_function = function
        return function


@overload
def step(function: Callable[..., Any]) -> FunctionStep: ...
@overload
def step(*, name: str | None = ...) -> Callable[[Callable[..., Any]], FunctionStep]: ...
def step(function: Callable[..., Any] | None = None, *, name: str | None = None) -> Any:
    """Turn `function(context, **arguments)` into a step; what it returns must be JSON-able.

    Args:
        name: a short name, under which `steps` has it too; without one it is known by "module:name".

    Raises:
        WorkflowError: the name is taken.
    """
    if function is None:
        return lambda f: FunctionStep(f, name)
    return FunctionStep(function, name)


def name_of(function: Callable[..., Any]) -> str:
    """Return "module:name" of a function."""
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', type(function).__name__)}"


def resolve(name: str) -> Callable[..., Any] | None:
    """Return the function of "module:name", None when no process could find it."""
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError):
        return None
    return found if callable(found) else None


__all__ = ["FunctionStep", "name_of", "resolve", "step"]
