"""Functions in workflows: `@step` makes one a step; conditions and `then` name them, so that a flow stays data."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, overload

from novacron.errors import WorkflowError
from novacron.workflow.composition import Workflow
from novacron.workflow.kinds import KINDS, StepKind, register_step
from novacron.workflow.nodes import AnyNode, StepNode, ThenNode, WhenNode, all_nodes

if TYPE_CHECKING:
    from novacron.workflow.context import Context

F = TypeVar("F", bound=Callable[..., Any])


class _FunctionKind(StepKind):
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
    def can_probe(self) -> bool:  # type: ignore[override]
        return self.idempotent or self.probe_function is not None

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

    def __init__(self, function: Callable[..., Any], name: str | None = None, *, idempotent: bool = False) -> None:
        local = name is None and "<" in name_of(function)  # another call of what defines it makes another step
        self.kind = _FunctionKind(
            name or name_of(function) + (f"#{id(function):x}" if local else ""), function, idempotent=idempotent
        )
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
def step(*, name: str | None = ..., idempotent: bool = ...) -> Callable[[Callable[..., Any]], FunctionStep]: ...
def step(function: Callable[..., Any] | None = None, *, name: str | None = None, idempotent: bool = False) -> Any:
    """Turn `function(context, **arguments)` into a step; what it returns must be JSON-able.

    Args:
        name: a short name, under which `steps` has it too; without one it is known by "module:name".
        idempotent: doing it twice is as doing it once. A step whose process ended in it is then simply done again; otherwise its
            `probe` is asked, and without one the run stops there, for a person to look.

    Raises:
        WorkflowError: the name is taken.
    """
    if function is None:
        return lambda f: FunctionStep(f, name, idempotent=idempotent)
    return FunctionStep(function, name, idempotent=idempotent)


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


def _names(node: AnyNode) -> Iterator[str]:
    for part in all_nodes(node):
        if isinstance(part, (WhenNode, ThenNode)) and part.function:
            yield part.function
        elif isinstance(part, StepNode):
            yield part.kind


def code_of(node: AnyNode, local: Mapping[str, Callable[..., Any]] | None = None) -> dict[str, str]:
    """Return a fingerprint of each function that a flow uses."""
    found = {}
    for name in _names(node):
        function = (local or {}).get(name) or _function(name)
        if function is not None:
            found[name] = _fingerprint(function)
    return found


def changed_code(node: AnyNode, code: Mapping[str, str]) -> list[str]:
    """Return the functions that are not what they were, or not there, by name."""
    now = code_of(node)
    return sorted(name for name, fingerprint in code.items() if now.get(name) != fingerprint)


def _function(name: str) -> Callable[..., Any] | None:
    try:
        kind = KINDS.find(name)
    except WorkflowError:
        return resolve(name)
    return kind.function if isinstance(kind, _FunctionKind) else None


def _fingerprint(function: Callable[..., Any]) -> str:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = getattr(getattr(function, "__code__", None), "co_code", b"").hex()
    return hashlib.sha256(source.encode()).hexdigest()[:16]


__all__ = ["FunctionStep", "changed_code", "code_of", "name_of", "resolve", "step"]
