"""The base of all records."""

from __future__ import annotations

from typing import Any, Self

import msgspec

from novacron.display import html_card


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen value reported by a driver; equal when all fields are."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values with the field names that `-o json` uses."""
        result: dict[str, Any] = msgspec.to_builtins(self, enc_hook=_plain_number)
        return result

    _repr_html_ = html_card  # for notebooks

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)


def _plain_number(value: Any) -> int:
    """Return an SDK's own kind of integer, such as pyVmomi's `long`, as an int."""
    if isinstance(value, int):
        return int(value)
    raise NotImplementedError(f"no plain value: {type(value).__name__}")


__all__ = ["Record"]
