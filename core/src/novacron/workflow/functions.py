"""Functions in workflows: `@step` makes a step of one; `@function` lets stored flows name one in `when` and `then`."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from novacron.errors import WorkflowError
from novacron.workflow.composition import Workflow
from novacron.workflow.kinds.function import Declared, DeclaredStep, FunctionKind, declared, name_of
from novacron.workflow.kinds.registry import register_step
from novacron.workflow.nodes import StepNode, all_nodes

if TYPE_CHECKING:
    from novacron.workflow.nodes import AnyNode

F = TypeVar("F", bound=Callable[..., Any])


class FunctionStep(DeclaredStep):
    """A function as a step. Call it with the function's arguments, without the context, for a flow of this step.

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
        self.name = name or _unique_name(function)
        self.kind = FunctionKind(self.name, function, idempotent=idempotent)
        self.__name__ = getattr(function, "__name__", self.name)
        self.__doc__ = function.__doc__ or self.__doc__
        if name is not None:
            register_step(self.kind)

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    def __call__(self, **arguments: Any) -> Workflow:
        """Return a flow of this step."""
        node = StepNode(kind=self.name, arguments=self.kind.prepare(**arguments))
        return Workflow(node, kinds={self.name: self.kind})

    def undo(self, function: F) -> F:
        """Undo the step with `function(context, result)`. The first line of its docstring says how, in plans."""
        self.kind.undo_function = function
        return function

    def probe(self, function: F) -> F:
        """Find out with `function(context)` whether the step has happened: it returns the step's result, or None."""
        self.kind.probe_function = function
        return function

    def check(self, function: F) -> F:
        """Check with `function(context)` whether the step can be done: it returns a list of problems."""
        self.kind.check_function = function
        return function


class Function(Declared):
    """A function that stored flows can name; it is called as before.

    Example:
        >>> @function
        ... def is_small(vm):
        ...     return vm.record.memory_bytes < 2**30
        >>> is_small
        <function is_small>
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function, self.name = function, _unique_name(function)

    def __repr__(self) -> str:
        return f"<function {self.__name__}>"  # type: ignore[attr-defined]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.function(*arguments, **named)


@overload
def step(function: Callable[..., Any]) -> FunctionStep: ...
@overload
def step(*, name: str | None = ..., idempotent: bool = ...) -> Callable[[Callable[..., Any]], FunctionStep]: ...
def step(function: Callable[..., Any] | None = None, *, name: str | None = None, idempotent: bool = False) -> Any:
    """Turn `function(context, **arguments)` into a step. What it returns must be JSON-able.

    Args:
        name: a short name, under which `steps` has it too. Without one it is known as "module:name".
        idempotent: running it twice has the same effect as running it once. After a crash inside of the step it is then run again.
            Otherwise its `probe` is asked, and without a probe the run stops there until a person has looked.

    Raises:
        WorkflowError: the name is taken.
    """
    if function is None:
        return lambda f: FunctionStep(f, name, idempotent=idempotent)
    return FunctionStep(function, name, idempotent=idempotent)


def function(given: Callable[..., Any]) -> Function:
    """Let stored flows and flow files name a function in `when` and `then`, as "module:name".

    The module must be loaded by whoever runs the flow: as a plugin, by a script, or with `--load` on the command line.
    """
    return Function(given)


def _unique_name(function: Callable[..., Any]) -> str:
    """Return "module:name"; a local function gets a name of its own each time it is defined."""
    name = name_of(function)
    return f"{name}#{id(function):x}" if "<" in name else name


def find_function(name: str) -> Callable[..., Any] | None:
    """Return a function that is declared with `@function` as "module:name" in a module that is loaded; None for any other."""
    found = declared(name, Function)
    return found if isinstance(found, Function) else None


def code_of(flow: Workflow) -> dict[str, str]:
    """Return a fingerprint of the code of each function that a flow uses, by name."""
    found: dict[str, str] = {}
    for name, code in _code(flow.node, flow).items():
        if code is not None:
            found[name] = _fingerprint(code)
    return found


def changed_code(flow: Workflow, code: Mapping[str, str]) -> list[str]:
    """Return the names of steps and functions whose code is no longer what it was, or is not here."""
    now = code_of(flow)
    return sorted({name for name, fingerprint in code.items() if now.get(name) != fingerprint} | set(_missing_steps(flow)))


def _missing_steps(flow: Workflow) -> Iterator[str]:
    """Yield the kinds of steps that are not here, such as those of a plugin that is not installed."""
    for node in all_nodes(flow.node):
        if isinstance(node, StepNode):
            try:
                flow.kind(node.kind)
            except WorkflowError:
                yield node.kind


def _code(node: AnyNode, flow: Workflow) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in all_nodes(node):
        for name in part.functions():
            found[name] = flow.functions.get(name)
        if isinstance(part, StepNode):
            try:
                found[part.kind] = flow.kind(part.kind).code
            except WorkflowError:
                continue
    return found


def _fingerprint(code: Any) -> str:
    code = getattr(code, "function", code)
    try:
        source = inspect.getsource(code)
    except (OSError, TypeError):
        source = getattr(getattr(code, "__code__", None), "co_code", b"").hex()
    return hashlib.sha256(source.encode()).hexdigest()[:16]


__all__ = ["Function", "FunctionStep", "changed_code", "code_of", "find_function", "function", "name_of", "step"]
