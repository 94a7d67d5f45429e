"""Results of earlier steps as inputs of later ones: `{copy.id}` in a text argument is the `id` in the result of the step named `copy`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from novacron.errors import WorkflowError

NAME = re.compile(r"[a-z][a-z0-9_]*")
REFERENCE = re.compile(r"\{([a-z][a-z0-9_]*)((?:\.[A-Za-z0-9_-]+)+)\}")
RESERVED = ("time",)


def check_name(name: str) -> str:
    """Return a step's name. Raises WorkflowError for one that can't be referred to."""
    if not NAME.fullmatch(name) or name in RESERVED:
        raise WorkflowError(
            f"a step can't be named {name!r}", hint="small letters, digits and _, beginning with a letter; not time"
        )
    return name


def references(value: Any) -> Iterator[str]:
    """Yield the names of the steps that arguments refer to."""
    if isinstance(value, str):
        yield from (found[1] for found in REFERENCE.finditer(value))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from references(inner)


def resolved(value: Any, results: Mapping[str, Any]) -> Any:
    """Return arguments with references replaced: within a text by text, a whole text by the value itself.

    Raises:
        WorkflowError: no step of that name has been done, or its result has no such part.

    Example:
        >>> resolved({"text": "copied to {copy.name}", "ids": ["{copy.id}"]}, {"copy": {"name": "c1", "id": 7}})
        {'text': 'copied to c1', 'ids': [7]}
    """
    if isinstance(value, str):
        whole = REFERENCE.fullmatch(value)
        if whole:
            return _part(whole[1], whole[2], results)
        return REFERENCE.sub(lambda found: str(_part(found[1], found[2], results)), value)
    if isinstance(value, Mapping):
        return {key: resolved(inner, results) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(inner, results) for inner in value]
    return value


def _part(name: str, path: str, results: Mapping[str, Any]) -> Any:
    if name not in results:
        raise WorkflowError(f"no step named {name!r} was done before", hint=f"there are: {', '.join(sorted(results)) or 'none'}")
    found = results[name]
    for key in path.split(".")[1:]:
        inner = found.get(key) if isinstance(found, Mapping) else found[int(key)] if _index(found, key) else None
        if inner is None:
            there = ", ".join(map(str, found)) if isinstance(found, Mapping) else repr(found)
            raise WorkflowError(f"the result of {name!r} has no {path[1:]!r}", hint=f"it has: {there}")
        found = inner
    return found


def _index(found: Any, key: str) -> bool:
    return isinstance(found, list) and key.isdecimal() and int(key) < len(found)


__all__ = ["check_name", "references", "resolved"]
