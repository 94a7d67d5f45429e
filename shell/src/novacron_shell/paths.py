"""Selects values of records with a path, as `-o jsonpath=PATH` does.

| step | selects |
|---|---|
| `.name`, `['name']` | the field of that name |
| `[0]`, `[-1]`, `[0:2]` | items of a list |
| `[*]`, `.*` | all items or fields |
| `..name` | the field of that name at any depth |
| `[?(@.status=='running')]` | items whose field compares so: ==, !=, <, <=, >, >= |

A leading `$` may be left out. A path that selects nothing prints nothing.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

_STEP = re.compile(
    r"\.\.(?P<deep>[\w-]+)|\.(?P<name>[\w-]+)|\.(?P<all>\*)|\[\s*(?:(?P<every>\*)|(?P<index>-?\d{1,18})"
    r"|(?P<start>(?:-?\d{1,18})?):(?P<end>(?:-?\d{1,18})?)|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\""
    r"|\?\(\s*@\.(?P<field>[\w.-]+)\s*(?P<compare>==|!=|<=|>=|<|>)\s*(?P<value>'[^']*'|\"[^\"]*\"|[^'\"()\s]+)\s*\))\s*\]"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Step = Callable[[Any], Iterator[Any]]


def select_path(path: str, value: Any) -> list[Any]:
    """Return all values that a path selects, in order.

    Raises:
        InvalidSpecError: the path is invalid; the error has the part that is not understood.

    Example:
        >>> vms = [{"name": "web1", "nics": [{"mac": "52:54:00:00:00:01"}]}, {"name": "db1", "nics": []}]
        >>> select_path("$[*].name", vms), select_path("[0].nics[*].mac", vms), select_path("[?(@.name=='db1')].nics", vms)
        (['web1', 'db1'], ['52:54:00:00:00:01'], [[]])
    """
    found = [value]
    for step in _steps(path):
        found = [each for one in found for each in step(one)]
    return found


def _steps(path: str) -> Iterator[Step]:
    text = path.removeprefix("$")
    if text and text[0] not in ".[":
        text = f".{text}"
    place = 0
    while place < len(text):
        match = _STEP.match(text, place)
        if match is None:
            raise _invalid(path, text[place:])
        yield _step(match)
        place = match.end()


def _step(match: re.Match[str]) -> Step:
    part = match.groupdict()
    if part["deep"]:
        return lambda value: _deep(value, part["deep"])
    if part["all"] or part["every"]:
        return _items
    if part["index"]:
        return lambda value: _at(value, int(part["index"]))
    if part["start"] is not None:
        some = slice(*(int(part[name]) if part[name] else None for name in ("start", "end")))
        return lambda value: iter(value[some] if isinstance(value, (list, tuple)) else ())
    if part["compare"]:
        return lambda value: (each for each in _items(value) if _compares(each, part))
    name = next(part[kind] for kind in ("name", "single", "double") if part[kind] is not None)
    return lambda value: iter([value[name]] if isinstance(value, dict) and name in value else ())


def _items(value: Any) -> Iterator[Any]:
    return iter(value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ())


def _at(value: Any, index: int) -> Iterator[Any]:
    if isinstance(value, (list, tuple)) and -len(value) <= index < len(value):
        yield value[index]


def _deep(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, dict) and name in value:
        yield value[name]
    for each in _items(value):
        yield from _deep(each, name)


def _compares(item: Any, part: dict[str, Any]) -> bool:
    for name in part["field"].split("."):
        if not isinstance(item, dict) or name not in item:
            return False
        item = item[name]
    try:
        return _COMPARE[part["compare"]](item, _literal(part["value"]))
    except TypeError:
        return False  # such as a number and a text


def _literal(text: str) -> Any:
    import json

    if text[0] in "'\"":
        return text[1:-1]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _invalid(path: str, rest: str) -> Exception:
    from novacron.errors import InvalidSpecError, SpecProblem

    problem = SpecProblem("jsonpath", path, f"a path such as $[*].name; not understood is {rest!r}")
    return InvalidSpecError(
        "invalid path", problems=[problem], outcome="not_sent", hint="docs/command-line.md lists the steps of a path"
    )


__all__ = ["select_path"]
