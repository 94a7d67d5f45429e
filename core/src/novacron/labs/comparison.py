"""Compares values of a lab file with values of a host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Change = tuple[str, Any, Any, str]
"""A field, its present value, the value that the lab gives, and when that one applies."""


def changed(asked: Mapping[str, Any], present: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return the fields that differ, with both values."""
    return tuple(
        (name, present.get(name), value, "at once") for name, value in asked.items() if not same(present.get(name), value)
    )


def same(present: Any, asked: Any) -> bool:
    """Whether two values mean the same: lists in any order, and of a nested value only the fields that are asked."""
    if isinstance(asked, (list, tuple)) and isinstance(present, (list, tuple)):
        return len(asked) == len(present) and all(map(same, sorted(present, key=repr), sorted(asked, key=repr)))
    if isinstance(asked, Mapping) and isinstance(present, Mapping):
        return all(same(present.get(name), value) for name, value in asked.items())
    return bool(str(present) == str(asked) or (not present and not asked))


__all__ = ["Change", "changed", "same"]
