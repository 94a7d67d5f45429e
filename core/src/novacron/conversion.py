"""Turns JSON and plain values into typed ones, from any thread.

At the first use of a type, msgspec collects what it knows of the type and of all types within it. Two threads that do so at once end the
process with a segmentation fault (seen with msgspec 0.22). Therefore nothing else in NovaCron calls msgspec's functions that take a type.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T")
_collecting = threading.Lock()


def convert(value: Any, kind: type[T], *, strict: bool = True, dec_hook: Callable[[type, Any], Any] | None = None) -> T:
    """Return plain values as a type.

    Args:
        value: dictionaries, lists, texts and numbers.
        kind: the type.
        strict: whether a text that looks like a number is no number.
        dec_hook: converts to types that msgspec does not know, from the type and the value.

    Raises:
        msgspec.ValidationError: the values are not of the type.

    Example:
        >>> convert({"a": [1, 2]}, dict[str, tuple[int, ...]])
        {'a': (1, 2)}
    """
    _decoder(cast("Hashable", kind))
    return msgspec.convert(value, kind, strict=strict, dec_hook=dec_hook)


def decode(text: str | bytes, kind: type[T]) -> T:
    """Return JSON as a type.

    Raises:
        msgspec.DecodeError: the text is no JSON, or not of the type.

    Example:
        >>> decode("[1, 2]", tuple[int, ...])
        (1, 2)
    """
    found: T = _decoder(cast("Hashable", kind)).decode(text)
    return found


@functools.cache
def _decoder(kind: Hashable) -> Any:
    with _collecting:
        return msgspec.json.Decoder(kind)


__all__ = ["convert", "decode"]
