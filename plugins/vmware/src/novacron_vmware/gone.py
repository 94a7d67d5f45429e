"""Objects that another client deletes between two calls: what was to be read of them is gone, which is no fault of the program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from novacron.errors import NotFoundError

Thing = TypeVar("Thing")


class Read(dict[str, Any]):
    """What was read of one object. A property that the server did not tell is a NotFoundError, not a KeyError."""

    __slots__ = ()

    def __missing__(self, path: str) -> Any:
        raise NotFoundError(f"an object has no {path}: it was deleted meanwhile, or may not be read", hint="look again")


def still_there(found: Iterable[Thing]) -> Thing:
    """Return the first of these objects, which was there a moment ago.

    Raises:
        NotFoundError: there is none; another client has deleted it.
    """
    for each in found:
        return each
    raise NotFoundError("it was there, but another client has deleted it meanwhile", hint="look again")


__all__ = ["Read", "still_there"]
