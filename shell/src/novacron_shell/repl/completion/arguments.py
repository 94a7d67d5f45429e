"""The arguments of what is called, with their allowed values: read from signatures, and from the fields of specs."""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from novacron_shell.repl.completion.names import Names

COLLECTIONS: Mapping[str, tuple[str, str | None]] = {
    "vms": ("vms.VMCollection", "vm.VMHandle"),
    "pools": ("pools.PoolCollection", None),
    "networks": ("networks.NetworkCollection", None),
    "filters": ("filters.FilterCollection", None),
    "templates": ("templates.TemplateCollection", None),
    "images": ("images.ImageCollection", None),
    "disks": ("disks.DiskCollection", "disks.DiskHandle"),
    "nics": ("nics.NICCollection", "nics.NICHandle"),
    "snapshots": ("snapshots.SnapshotCollection", "snapshots.SnapshotHandle"),
    "hosts": ("host.HostHandle", "host.HostHandle"),
    "resources": ("resources.ResourcesHandle", None),
    "guest": ("guest.GuestHandle", None),
}
"""Name of a collection to its class in `novacron.handles`, and to the class of its items."""
UNPACKED = re.compile(r"Unpack\[(\w+)\]")


def arguments_of(owner: str, names: Names) -> dict[str, tuple[str, ...]]:
    """Return the arguments of a call by name, each with its allowed values as Python text; no values for free text.

    Args:
        owner: what is called, such as `lab.vms.create`.
        names: the names that are known.

    Example:
        >>> arguments_of("lab.vms.list", Names())["detail"]
        ("'summary'", "'full'")
    """
    function = resolve(owner, names)
    return {} if function is None else dict(_arguments(function))


def resolve(owner: str, names: Names) -> Any:
    """Return the class or function that an expression calls, None if it is not known. Nothing of the user's is called."""
    try:
        tree = ast.parse(owner.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None
    return _resolved(tree, names)


def _resolved(node: ast.AST, names: Names) -> Any:
    if isinstance(node, ast.Name):
        return _named(node.id, names)
    if isinstance(node, ast.Attribute):
        above = _resolved(node.value, names)
        if (
            above is not None
            and (found := inspect.getattr_static(above, node.attr, None)) is not None
            and not isinstance(found, property | cached_property)
        ):
            return getattr(above, node.attr) if inspect.isclass(above) or inspect.ismodule(above) else found
        if node.attr in COLLECTIONS:
            return _handle(COLLECTIONS[node.attr][0])
        return getattr(above, node.attr, None) if inspect.ismodule(above) else None
    if isinstance(node, ast.Subscript):
        return _item(node.value)
    if isinstance(node, ast.Call):
        called = _resolved(node.func, names)
        return called if inspect.isclass(called) else None
    return None


def _item(node: ast.AST) -> Any:
    """Return the class of the items of a collection."""
    last = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    item = COLLECTIONS.get(last, ("", None))[1]
    return _handle(item) if item else None


def _named(name: str, names: Names) -> Any:
    value = names.python.get(name)
    if value is None:
        return None
    if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
        return value
    if type(value).__module__.startswith("novacron.handles"):
        return type(value)
    return None


@cache
def _handle(path: str) -> Any:
    from importlib import import_module

    module, _, name = path.partition(".")
    return getattr(import_module(f"novacron.handles.{module}"), name)


@cache
def _arguments(function: Any) -> Mapping[str, tuple[str, ...]]:
    """Return the arguments of a class or function; a spec's are its fields."""
    if inspect.isclass(function):
        return _fields(f"{function.__name__.removesuffix('Spec')}Fields") or _parameters(function)
    if function.__qualname__ in ("VMCollection.list", "FleetVMs.list", "Inventory.where"):
        return _query()
    return _parameters(function)


def _parameters(function: Any) -> dict[str, tuple[str, ...]]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for parameter in parameters:
        kind = str(parameter.annotation)
        if parameter.kind is parameter.VAR_KEYWORD:
            if match := UNPACKED.search(kind):
                found |= _fields(match[1])
        elif parameter.kind is not parameter.VAR_POSITIONAL and parameter.name != "self":
            found[parameter.name] = _values(parameter.annotation)
    return found


@cache
def _fields(name: str) -> Mapping[str, tuple[str, ...]]:
    """Return the fields of a class in `novacron.specs.keywords`."""
    from novacron.specs import keywords

    cls = getattr(keywords, name, None)
    return {} if cls is None else {field: _values(kind) for field, kind in get_type_hints(cls).items()}


def _query() -> dict[str, tuple[str, ...]]:
    from novacron.specs.query import SORTABLE, VMQuery

    found = {field: _values(kind) for field, kind in get_type_hints(VMQuery).items()}
    return found | {"sort": tuple(repr(key) for key in ("memory", *SORTABLE))}


def _values(kind: Any) -> tuple[str, ...]:
    """Return the values that a type allows, as Python text.

    Example:
        >>> _values(Literal["a", "b"] | None), _values("bool"), _values(str), _values("Literal['x'] | None")
        (("'a'", "'b'", 'None'), ('True', 'False'), (), ("'x'",))
    """
    if isinstance(kind, str):
        if kind == "bool":
            return ("True", "False")
        return tuple(part.strip() for match in re.finditer(r"Literal\[([^\]]+)\]", kind) for part in match[1].split(","))
    if kind is bool:
        return ("True", "False")
    if kind is type(None):
        return ("None",)
    if get_origin(kind) is Literal:
        return tuple(map(repr, get_args(kind)))
    if get_origin(kind) in (Union, types.UnionType, tuple):
        found = tuple(dict.fromkeys(value for part in get_args(kind) if part is not ... for value in _values(part)))
        return () if found == ("None",) else found
    return ()


__all__ = ["arguments_of", "resolve"]
