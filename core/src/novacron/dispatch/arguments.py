"""Checks the arguments of an operation against the contract, before any policy or driver gets them.

Wrong arguments are a mistake of the caller. They raise InvalidSpecError, which names all of them, and never reach the hypervisor.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from novacron.errors import MISSING, InvalidSpecError, SpecProblem
from novacron.hookspecs.operation import Operation
from novacron.redaction import is_secret_name
from novacron.text import unprintable

DATA = frozenset({"path", "stdin", "argv", "password"})
"""Text that may hold any character but NUL: data for a guest, such as a path, a program's arguments or a password."""
TEXTS = frozenset({"definition", "description"})
"""Text of several lines: newlines and tabs are allowed."""
NEW_NAMES = frozenset({"vm_rename", "vm_clone", "vm_clone_instant", "volume_clone", "volume_convert"})
"""Operations whose argument `name` names something new. It must be a name that a spec would accept."""


def check_arguments(operation: Operation, arguments: Mapping[str, Any]) -> None:
    """Reject wrong arguments.

    Raises:
        InvalidSpecError: names every argument that is missing, unknown, of a wrong type, or has characters not allowed in names.
    """
    problems = list(_problems(operation, arguments))
    if problems:
        expected = [name for name in operation.arguments if name != "job"]
        misnamed = set(expected) != set(arguments)
        raise InvalidSpecError(
            f"invalid arguments of {operation.name}",
            problems=problems,
            outcome="not_sent",
            hint=f"its arguments are: {', '.join(expected) or 'none'}" if misnamed else None,
        )


def _problems(operation: Operation, arguments: Mapping[str, Any]) -> Iterator[SpecProblem]:
    expected = [name for name in operation.arguments if name != "job"]
    for name in arguments:
        if name not in expected:
            near = difflib.get_close_matches(str(name), expected, n=1)
            yield SpecProblem(str(name), "an unknown argument", f"did you mean {near[0]!r}?" if near else "it does not exist")
    for name in expected:
        if name not in arguments:
            yield SpecProblem(name, MISSING, "this argument is required")
            continue
        value, type_name = arguments[name], operation.types.get(name, "")
        wanted = mistake(type_name, value)
        if wanted:
            yield SpecProblem(name, type(value).__name__, wanted)
            continue
        kind = "" if "." in operation.name and name in DATA else name  # a path of a native operation is no data for a guest
        for text in _texts(value):
            if complaint := unprintable(text, lines=kind in TEXTS, data=kind in DATA):
                yield SpecProblem(name, "a secret" if is_secret_name(name) else escaped(text), complaint)
    if operation.name in NEW_NAMES and isinstance(arguments.get("name"), str):
        yield from _new_name(arguments["name"])


def _new_name(name: str) -> Iterator[SpecProblem]:
    from pydantic import TypeAdapter, ValidationError

    from novacron.specs.spec import Name

    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        yield SpecProblem("name", escaped(name), "1 to 128 letters, digits, `_ . + -`; the first one no sign but `_`")


def escaped(text: str) -> str:
    """Return the first 200 characters of a text, with control characters and surrogates escaped."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text[:200])
    return shown if len(text) <= 200 else f"{shown}..."


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in an argument: the argument itself, or the items of a collection."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (str(text) for text in (key, item) if isinstance(text, str))
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from (item for item in value if isinstance(item, str))


def mistake(type_name: str, value: Any) -> str:
    """Return a description of the expected value; "" if the type of the value is correct."""
    if type_name.endswith(" | None"):
        return "" if value is None else mistake(type_name.removesuffix(" | None"), value)
    if type_name.startswith("Literal["):
        allowed = ast.literal_eval(f"({type_name.removeprefix('Literal[').removesuffix(']')},)")
        return "" if isinstance(value, str) and value in allowed else f"one of {', '.join(allowed)}"
    if type_name in PLAIN:
        fits, wanted = PLAIN[type_name]
        return "" if fits(value) else wanted
    if type_name.endswith(("Spec", "Update", "Query", "Limits")):
        return "" if any(cls.__name__ == type_name for cls in type(value).__mro__) else f"a {type_name}"
    if type_name.startswith("Callable"):
        return "" if callable(value) else "a function"
    return ""


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _strings(*kinds: type[Any]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds) and all(isinstance(item, str) for item in value)


PLAIN: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "str": (lambda value: isinstance(value, str), "text"),
        "int": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
        "float": (_number, "a number"),
        "bool": (lambda value: isinstance(value, bool), "true or false"),
        "bytes": (lambda value: isinstance(value, (bytes, bytearray)), "bytes"),
        "list[str]": (_strings(list, tuple), "a list of texts"),
        "tuple[str, ...]": (_strings(list, tuple), "a list of texts"),
        "frozenset[str]": (_strings(frozenset, set, tuple, list), "a set of texts"),
        "dict[str, str]": (
            lambda value: isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair),
            "texts by text",
        ),
        "BinaryIO": (lambda value: hasattr(value, "read") or hasattr(value, "write"), "an open binary file"),
    }
)
"""For the types of plain arguments: whether a value fits, and what is wanted."""

__all__ = ["check_arguments", "escaped", "mistake"]
