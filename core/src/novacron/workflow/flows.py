"""Flows by name, with parameters: functions that return a workflow. A flow may use others; in a file it is named by `flow`."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, overload

from novacron.errors import InvalidSpecError, SpecProblem, WorkflowError, either
from novacron.workflow.composition import Workflow

_making: ContextVar[tuple[str, ...]] = ContextVar("making", default=())


class FlowFunction:
    """A function that composes a workflow of its parameters, which are checked as they are annotated.

    Example:
        >>> from novacron.workflow import steps
        >>> @flow
        ... def twice(name: str, times: int = 2):
        ...     "Take snapshots."
        ...     found = steps.snapshot(f"{name}-1")
        ...     return found >> steps.snapshot(f"{name}-{times}")
        >>> twice(name="a")
        <Workflow 'twice': snapshot 'a-1' >> snapshot 'a-2'>
        >>> twice(name="a", times="many")
        Traceback (most recent call last):
        ...
        novacron.errors.InvalidSpecError: invalid flow twice: times: got 'many', allowed: input should be a valid integer, unable to \
parse string as an integer
    """

    def __init__(self, function: Callable[..., Workflow], name: str) -> None:
        self.name, self.function = name, function
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    def __repr__(self) -> str:
        return f"<flow {self.name}({self.usage})>"

    @property
    def usage(self) -> str:
        """Its parameters in words, "to: str, name: str = 'after'"."""
        return ", ".join(map(self._shown, self.parameters.values()))

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Its parameters, with types and defaults."""
        return inspect.signature(self.function).parameters

    def _shown(self, parameter: inspect.Parameter) -> str:
        kind = str(parameter.annotation) if parameter.annotation is not parameter.empty else ""
        default = f" = {parameter.default!r}" if parameter.default is not parameter.empty else ""
        return f"{parameter.name}: {kind}{default}" if kind else f"{parameter.name}{default}"

    def __call__(self, *arguments: Any, **named: Any) -> Workflow:
        """Return the workflow.

        Raises:
            InvalidSpecError: each parameter that is missing, unknown or of a wrong type.
            WorkflowError: the flow uses itself.
        """
        from pydantic import ConfigDict, ValidationError, validate_call

        checked: Any = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(self.function)
        with _of(self.name):
            try:
                made = checked(*arguments, **named)
            except ValidationError as error:
                if error.title not in (self.function.__name__, self.function.__qualname__):
                    raise
                raise InvalidSpecError(f"invalid flow {self.name}", problems=list(_problems(error))) from None
        if not isinstance(made, Workflow):
            raise WorkflowError(f"the flow {self.name!r} returned a {type(made).__name__}, no workflow")
        return Workflow(made.node, name=self.name, kinds=made.kinds, functions=made.functions, hosts=made.hosts)


def _problems(error: Any) -> Iterator[SpecProblem]:
    for each in error.errors():
        path = ".".join(str(part) for part in each["loc"])
        missing = each["type"].startswith("missing")
        yield SpecProblem(path, "missing" if missing else str(each["input"]), each["msg"][0].lower() + each["msg"][1:])


@contextmanager
def _of(name: str) -> Iterator[None]:
    """Say that a flow is being composed; one that needs itself would never end."""
    above = _making.get()
    if name in above:
        raise WorkflowError(f"the flow {name!r} uses itself: {' > '.join((*above, name))}")
    token = _making.set((*above, name))
    try:
        yield
    finally:
        _making.reset(token)


class Flows:
    """Flows by name, `FLOWS["patch"]` or `FLOWS.patch`: NovaCron's own, those of this process, and those of plugins (`register_steps`)."""

    def __init__(self) -> None:
        self._known: dict[str, FlowFunction] = {}

    def register(self, found: FlowFunction) -> None:
        """Add a flow; one from the same place in the code replaces the older. Raises WorkflowError when the name is taken."""
        known = self._all().get(found.name)
        if known is not None and _place(known) != _place(found):
            raise WorkflowError(f"there is a flow {found.name!r} already")
        self._known[found.name] = found

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._all())

    def __getitem__(self, name: str) -> FlowFunction:
        """Return a flow; `-` and `_` are the same in its name. Raises WorkflowError."""
        found = self._all()
        wanted = name.replace("-", "_")
        if wanted not in found:
            near = difflib.get_close_matches(wanted, sorted(found), n=3)
            hint = f"did you mean {either(near)}?" if near else "`novacron flow list` lists all"
            raise WorkflowError(f"there is no flow {name!r}", hint=hint)
        return found[wanted]

    def __getattr__(self, name: str) -> FlowFunction:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except WorkflowError as error:
            raise AttributeError(f"{error}; {error.hint}") from None

    def __dir__(self) -> list[str]:
        return self.names()

    def __repr__(self) -> str:
        return f"<flows {', '.join(self.names())}>"

    def __contains__(self, name: object) -> bool:
        return str(name).replace("-", "_") in self._all()

    def _all(self) -> dict[str, FlowFunction]:
        from novacron.site import default_site
        from novacron.workflow import builtin_flows

        own = {each.name: each for each in vars(builtin_flows).values() if isinstance(each, FlowFunction)}
        offered = [
            each for kinds in default_site().plugins.hook.register_steps() for each in kinds if isinstance(each, FlowFunction)
        ]
        return {each.name: each for each in offered} | self._known | own


def _place(found: FlowFunction) -> tuple[str, str]:
    return found.function.__module__, found.function.__qualname__


FLOWS = Flows()  # one for the process, as the kinds of steps are


@overload
def flow(function: Callable[..., Workflow]) -> FlowFunction: ...
@overload
def flow(*, name: str | None = ...) -> Callable[[Callable[..., Workflow]], FlowFunction]: ...
def flow(function: Callable[..., Workflow] | None = None, *, name: str | None = None) -> Any:
    """Turn a function that returns a workflow into a flow by name, with parameters that are checked.

    Args:
        name: the flow's name; the function's own unless given.

    Raises:
        WorkflowError: the name is taken.
    """
    if function is None:
        return lambda given: _registered(given, name or given.__name__)
    return _registered(function, name or function.__name__)


def _registered(function: Callable[..., Workflow], name: str) -> FlowFunction:
    made = FlowFunction(function, name.replace("-", "_"))
    if function.__module__ != "novacron.workflow.builtin_flows":
        FLOWS.register(made)
    return made


__all__ = ["FLOWS", "FlowFunction", "Flows", "flow"]
