"""The base of all collections. Unknown names raise an error that suggests similar ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

from novacron.display import html_table
from novacron.errors import InvalidSpecError, NotFoundError, NovaCronError, SpecProblem, either
from novacron.text import printable_line

T = TypeVar("T")
D = TypeVar("D")


class Collection(Generic[T]):
    """A collection of objects with names: iteration, length, `in`, `[]` and `get`. Subclasses implement `_all` and `_find`.

    Example:
        >>> import novacron
        >>> pools = novacron.connect("sim://collections").pools
        >>> [pool.name for pool in pools], len(pools), "default" in pools, "none" in pools, pools.get("none")
        (['default'], 1, True, False, None)
        >>> pools["defualt"]
        Traceback (most recent call last):
        novacron.errors.StoragePoolNotFoundError: no storage pool 'defualt' on collections
    """

    _repr_html_ = html_table  # for notebooks

    _title = "items"
    """What the items are called, in the plural."""

    def _owner(self) -> object:
        """Return the name of what has the items."""
        owner = getattr(self, "_vm", None) or getattr(self, "_host", None)
        return getattr(owner, "name", "the fleet")

    def __repr__(self) -> str:
        return printable_line(f"<{self._title} of {self._owner()}>")

    def _all(self) -> Sequence[T]:
        """Return all items in their usual order."""
        raise NotImplementedError

    def _find(self, key: str) -> T:
        """Read one item by name. Raises NotFoundError."""
        raise NotImplementedError

    def _key(self, item: T) -> str:
        """Return the name of an item."""
        return str(getattr(item, "name"))  # noqa: B009 - the type has no common base

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __contains__(self, key: object) -> bool:
        try:
            return isinstance(key, str) and self._find(key) is not None
        except NotFoundError:
            return False

    def __getitem__(self, key: str) -> T:
        """Read one item by its name.

        Raises:
            NotFoundError: it does not exist; the hint suggests similar names.
            InvalidSpecError: the key is not text.
        """
        checked_key(key)
        try:
            return self._find(key)
        except NotFoundError as error:
            if near := self._similar(key):
                error.hint = f"did you mean {either(near)}?"
            raise

    def get(self, key: str, default: D | None = None) -> T | D | None:
        """Return one item by its name, or `default` if it does not exist. Raises InvalidSpecError if the key is not text."""
        checked_key(key)
        try:
            return self._find(key)
        except NotFoundError:
            return default

    def _similar(self, key: str) -> list[str]:
        try:
            known: list[Any] = [self._key(item) for item in self._all()]
        except NovaCronError:
            return []
        return difflib.get_close_matches(key, known, n=3)


class NamedMapping(Mapping[str, T]):
    """A mapping whose `[]` raises a NotFoundError with a hint. `get` and `in` treat that as missing, as those of a dictionary do.

    It equals itself alone: a comparison of the items would ask for all of them.
    """

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @overload
    def get(self, key: str) -> T | None: ...
    @overload
    def get(self, key: str, default: T | D) -> T | D: ...
    def get(self, key: str, default: object = None) -> object:
        """Return one item by its name, or `default` if it does not exist."""
        try:
            return self[key]
        except (KeyError, NotFoundError):
            return default

    def __contains__(self, key: object) -> bool:
        try:
            self[key]  # type: ignore[index]
        except (KeyError, NotFoundError):
            return False
        return True


def checked_key(key: object) -> None:
    """Refuse a key that is not text. Raises InvalidSpecError."""
    if not isinstance(key, str):
        problem = SpecProblem("name", repr(key), "a name, as text")
        raise InvalidSpecError("invalid name", problems=[problem], outcome="not_sent")


__all__ = ["Collection", "NamedMapping", "checked_key"]
