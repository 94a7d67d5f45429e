"""Validates a driver against the contract when it is registered, so that a misspelt hook is an error and not a missing feature."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Container, Iterator, Mapping
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

from novacron.errors import PluginError
from novacron.hookspecs.areas import AREAS
from novacron.hookspecs.operation import PROJECT, Operation

HOOKS: Mapping[str, FunctionType] = MappingProxyType(
    {
        function.operation.name: function
        for area in AREAS
        for function in vars(area).values()
        if hasattr(function, "operation") and function.__module__ == area.__name__
    }
)
"""The function of each operation in the contract, in the order of the areas."""

OPERATIONS: Mapping[str, Operation] = MappingProxyType({name: vars(hook)["operation"] for name, hook in HOOKS.items()})
"""Every operation of the contract by name, in the order of the areas."""


def operations() -> Mapping[str, Operation]:
    """Return every operation of the contract by name, in the order of the areas."""
    return OPERATIONS


def argument_spec(operation: str, argument: str) -> Any:
    """Return the spec class of an operation's argument; None for plain values."""
    from novacron import specs

    name = declared(operation, argument)
    return getattr(specs, name) if name in specs.__all__ else None


def declared(operation: str, argument: str) -> str:
    """Return the declared type of an operation's argument, or of its result ("return"), as text."""
    return str(HOOKS[operation].__annotations__.get(argument, ""))


def result_class(operation: str) -> tuple[type | None, bool]:
    """Return the record class of an operation's result (None if it is not a record), and whether the result is a list."""
    text = declared(operation, "return")
    many = text.startswith(("list[", "Sequence["))
    name = text.partition("[")[2].rstrip("]") if many else text
    found = HOOKS[operation].__globals__.get(name, bytes if name == "bytes" else None)
    return (found if isinstance(found, type) and not getattr(found, "_is_protocol", False) else None), many


def implementations(part: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the names and methods of an object that carry `hookimpl`."""
    for name in dir(type(part)) if not inspect.ismodule(part) else dir(part):
        method = getattr(part, name, None)
        if callable(method) and getattr(method, f"{PROJECT}_impl", None):
            yield name, method


def check_driver(
    driver_name: str, parts: tuple[object, ...], checked: set[tuple[type, ...]] | None = None, *, later: Container[str] = ()
) -> None:
    """Reject a driver that does not match the contract.

    Args:
        driver_name: for errors.
        parts: the area objects of one connection.
        checked: driver classes that were validated before; new ones are added. A fleet has many connections of one driver.
        later: names of areas whose objects are made when they are first used. `check_area` validates them.

    Raises:
        PluginError: names every unknown hook, wrong argument and missing mandatory operation, and suggests the correct name.
    """
    kinds = tuple(map(type, parts))
    if checked is not None and kinds in checked:
        return
    seen: dict[str, object] = {}
    problems = [problem for part in parts for problem in _problems(part, seen)]
    missing = [
        name
        for name, operation in operations().items()
        if operation.mandatory and name not in seen and operation.area not in later
    ]
    if missing:
        problems.append(f"mandatory operations are missing: {', '.join(missing)}")
    _refuse(driver_name, problems)
    if checked is not None and ModuleType not in kinds:
        checked.add(kinds)


def check_area(driver_name: str, area: str, part: object, checked: set[tuple[type, ...]] | None = None) -> None:
    """Reject an area object that does not match the contract, or that implements operations of another area.

    Arguments and errors as `check_driver`.
    """
    kind = (type(part), object)  # no driver has a part of the class `object`
    if checked is not None and kind in checked:
        return
    seen: dict[str, object] = {}
    problems = list(_problems(part, seen))
    known = operations()
    problems += [
        f"{type(part).__name__}.{name} belongs to the area {known[name].area!r}, not to {area!r}"
        for name in seen
        if known[name].area != area
    ]
    problems += [
        f"the area {area!r} lacks the mandatory operation {name}"
        for name, operation in known.items()
        if operation.mandatory and operation.area == area and name not in seen
    ]
    _refuse(driver_name, problems)
    if checked is not None:
        checked.add(kind)


def _problems(part: object, seen: dict[str, object]) -> Iterator[str]:
    """Yield what is wrong with the hooks of an area object. `seen` gets the names of its operations."""
    known = operations()
    for name, method in implementations(part):
        where = f"{type(part).__name__}.{name}"
        if name not in known:
            yield f"{where} is no hook{_meant(name, known)}"
            continue
        if name in seen:
            yield f"{where} is implemented twice, also by {type(seen[name]).__name__}"
        seen[name] = part
        if inspect.iscoroutinefunction(method):
            yield f"{where} is a coroutine; hooks are synchronous"
        for argument in inspect.signature(method).parameters:
            if argument not in known[name].arguments:
                yield f"{where} has an argument {argument!r}{_meant(argument, known[name].arguments)}"


def _refuse(driver_name: str, problems: list[str]) -> None:
    if problems:
        raise PluginError(
            f"driver {driver_name!r} does not fit the contract: " + "; ".join(problems),
            hint="novacron.hookspecs has every hook with its arguments",
        )


def _meant(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else f"; there are {', '.join(list(known)[:8])}"


__all__ = ["argument_spec", "check_area", "check_driver", "declared", "implementations", "operations", "result_class"]
