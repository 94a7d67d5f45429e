"""Flows with names and parameters: functions that return a workflow. A flow can use others. Flow files refer to flows by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, overload

from novacron.errors import MISSING, InvalidSpecError, SpecProblem, WorkflowError, either
from novacron.plugins.names import by_name
from novacron.workflow.composition import Workflow
from novacron.workflow.kinds.function import Declared, declared

_making: ContextVar[tuple[str, ...]] = ContextVar("making", default=())


class FlowFunction(Declared):
    """A function that composes a workflow from its parameters. Arguments are checked against the annotations of the parameters.

    `@flow` makes one and registers it.

    Example:
        >>> from novacron.workflow import steps
        >>> def twice(name: str, times: int = 2):
        ...     "Take snapshots."
        ...     found = steps.snapshot(f"{name}-1")
        ...     return found >> steps.snapshot(f"{name}-{times}")
        >>> twice = FlowFunction(twice, "twice")
        >>> twice(name="a")
        <Workflow 'twice': snapshot 'a-1' >> snapshot 'a-2'>
        >>> twice(name="a", times="many")
        Traceback (most recent call last):
        ...
        novacron.errors.InvalidSpecError: invalid flow twice: times: got 'many', allowed: a whole number
    """

    def __init__(self, function: Callable[..., Workflow], name: str) -> None:
        self.name, self.function = name, function
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    def __repr__(self) -> str:
        return f"<flow {self.name}({self.usage})>"

    @property
    def usage(self) -> str:
        """The parameters as text: "to: str, name: str = 'after'"."""
        return ", ".join(map(self._shown, self.parameters.values()))

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The parameters, with types and defaults."""
        return inspect.signature(self.function).parameters

    def _shown(self, parameter: inspect.Parameter) -> str:
        kind = str(parameter.annotation) if parameter.annotation is not parameter.empty else ""
        default = f" = {parameter.default!r}" if parameter.default is not parameter.empty else ""
        return f"{parameter.name}: {kind}{default}" if kind else f"{parameter.name}{default}"

    def __call__(self, *arguments: Any, **named: Any) -> Workflow:
        """Return the workflow.

        Raises:
            InvalidSpecError: lists every parameter that is missing, unknown or has the wrong type.
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
    from novacron.specs.wording import allowed_words

    for each in error.errors():
        path = ".".join(str(part) for part in each["loc"])
        given = MISSING if each["type"].startswith("missing") else str(each["input"])
        yield SpecProblem(path, given, allowed_words(each["type"], each.get("ctx", {}), each["msg"]))


@contextmanager
def _of(name: str) -> Iterator[None]:
    """Mark a flow as being composed. A flow that uses itself would never end, so that is an error."""
    above = _making.get()
    if name in above:
        raise WorkflowError(f"the flow {name!r} uses itself: {' > '.join((*above, name))}")
    token = _making.set((*above, name))
    try:
        yield
    finally:
        _making.reset(token)


class Flows:
    """Flows by name: `flows["patch"]` or `flows.patch`. Built-in flows, those of plugins, and registered ones.

    Args:
        offered: returns what plugins offer now (hook `register_steps`).
    """

    def __init__(self, offered: Callable[[], Iterable[object]] = tuple) -> None:
        self._registered: dict[str, FlowFunction] = {}
        self._offered = offered

    def register(self, found: FlowFunction) -> None:
        """Add a flow. One from the same place in the code replaces the older one. Raises WorkflowError if the name is taken."""
        known = self._all().get(found.name)
        if known is not None and _place(known) != _place(found):
            raise WorkflowError(f"there is a flow {found.name!r} already")
        self._registered[found.name] = found

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._all())

    def __getitem__(self, name: str) -> FlowFunction:
        """Return a flow. `-` and `_` in its name are the same. Raises WorkflowError."""
        wanted = name.replace("-", "_")
        found = self._find(wanted)
        if found is None:
            near = difflib.get_close_matches(wanted, self.names(), n=3)
            hint = f"did you mean {either(near)}?" if near else "`novacron flow list` lists all"
            raise WorkflowError(f"there is no flow {name!r}", hint=hint)
        return found

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
        return self._find(str(name).replace("-", "_")) is not None

    def _find(self, name: str) -> FlowFunction | None:
        """Return a flow; also one that a loaded module declares and that was registered with another site."""
        found = self._all().get(name) or (declared(name, FlowFunction) if name.isidentifier() else None)
        return found if isinstance(found, FlowFunction) else None

    def _all(self) -> dict[str, FlowFunction]:
        from novacron.workflow import builtin_flows

        own = {each.name: each for each in vars(builtin_flows).values() if isinstance(each, FlowFunction)}
        offered = by_name("flow", (each for each in self._offered() if isinstance(each, FlowFunction)))
        return offered | self._registered | own


class DefaultFlows:
    """The flows of the default site, as `Flows`. It holds nothing itself."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(default_flows(), name)

    def __getitem__(self, name: str) -> FlowFunction:
        return default_flows()[name]

    def __contains__(self, name: object) -> bool:
        return name in default_flows()

    def __dir__(self) -> list[str]:
        return default_flows().names()

    def __repr__(self) -> str:
        return repr(default_flows())


def default_flows() -> Flows:
    """Return the flows of the default site."""
    from novacron.workflow.defaults import default_site

    return default_site().flows


def _place(found: FlowFunction) -> tuple[str, str]:
    return found.function.__module__, found.function.__qualname__


FLOWS = DefaultFlows()
"""The flows of the default site."""


@overload
def flow(function: Callable[..., Workflow]) -> FlowFunction: ...
@overload
def flow(*, name: str | None = ...) -> Callable[[Callable[..., Workflow]], FlowFunction]: ...
def flow(function: Callable[..., Workflow] | None = None, *, name: str | None = None) -> Any:
    """Turn a function that returns a workflow into a flow with a name, and register it with the default site.

    Other sites find it too if it is at the top level of a loaded module.

    Args:
        name: the flow's name; the function's name when None.

    Raises:
        WorkflowError: the name is taken.
    """
    if function is None:
        return lambda given: _registered(given, name or given.__name__)
    return _registered(function, name or function.__name__)


def _registered(function: Callable[..., Workflow], name: str) -> FlowFunction:
    made = FlowFunction(function, name.replace("-", "_"))
    if function.__module__ != "novacron.workflow.builtin_flows":
        default_flows().register(made)
    return made


__all__ = ["FLOWS", "DefaultFlows", "FlowFunction", "Flows", "default_flows", "flow"]
