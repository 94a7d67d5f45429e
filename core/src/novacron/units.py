"""Sizes, rates and durations: parsed from text, formatted as text, and plain numbers everywhere else."""

from __future__ import annotations

import re
from datetime import timedelta

from novacron.errors import InvalidValueError

_SIZE = r"\s*(\d+(?:\.\d+)?)\s*([kmgtpe]?)(i?)(b?)\s*(?:/s)?\s*"
_DURATION = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?"
LONGEST = 100
"""The largest number of characters of a size or a duration. Python converts no number of thousands of digits."""
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def parse_size(value: int | float | str) -> int:
    """Return bytes (or bytes/s) from an integer or from text such as "2GiB", "1.5G", "100MiB/s".

    `K`, `M`, `G`, `T` alone and with `i` are powers of 1024; `KB`, `MB`, `GB` powers of 1000.

    Raises:
        InvalidValueError: not a size, or negative.

    Example:
        >>> parse_size("2GiB"), parse_size("1.5K"), parse_size("1MB"), parse_size(42), parse_size("100MiB/s")
        (2147483648, 1536, 1000000, 42, 104857600)
    """
    if isinstance(value, bool):
        raise _not("a size", value, "2GiB")
    if isinstance(value, (int, float)):
        if value < 0 or value != value or value in (float("inf"),):
            raise _not("a size", value, "2GiB")
        return int(value)
    match = re.fullmatch(_SIZE, value, re.IGNORECASE) if isinstance(value, str) and len(value) <= LONGEST else None
    if not match:
        raise _not("a size", value, "2GiB")
    from fractions import Fraction

    number, prefix, binary, byte = match.groups()
    base = 1000 if byte and not binary else 1024
    return int(Fraction(number) * base ** " kmgtpe".index(prefix.lower() or " "))


def format_size(size: int | float | None) -> str:
    """Return bytes for people, in powers of 1024; None is "-".

    Example:
        >>> format_size(2 * 1024**3), format_size(1536), format_size(0), format_size(None)
        ('2 GiB', '1.5 KiB', '0 B', '-')
    """
    if size is None:
        return "-"
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"):  # noqa: B007 - the last unit is the answer
        if abs(value) < 1024:
            break
        value /= 1024
    return f"{value:.1f}".rstrip("0").rstrip(".") + f" {unit}"


def exact_size(size: int | None) -> str:
    """Return bytes for a message that compares sizes: rounded for people, and in full, since sizes that differ may round to one text.

    Example:
        >>> exact_size(2 * 1024**3), exact_size(2 * 1024**3 - 1), exact_size(None)
        ('2 GiB (2147483648 bytes)', '2 GiB (2147483647 bytes)', '-')
    """
    return "-" if size is None else f"{format_size(size)} ({size} bytes)"


def parse_duration(value: int | float | str | timedelta) -> float:
    """Return seconds from a number, a `timedelta` or text such as "5m", "1h30m", "250ms".

    Raises:
        InvalidValueError: not a duration, or negative.

    Example:
        >>> parse_duration("1h30m"), parse_duration("250ms"), parse_duration(5), parse_duration("90")
        (5400.0, 0.25, 5.0, 90.0)
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool):
        raise _not("a duration", value, "90s")
    if isinstance(value, (int, float)):
        if not 0 <= value < float("inf"):
            raise _not("a duration", value, "90s")
        return float(value)
    text = value.strip() if isinstance(value, str) and len(value) <= LONGEST else ""
    parts = list(re.finditer(_DURATION, text, re.IGNORECASE))
    if not parts or "".join("".join(p.group(0) for p in parts).split()) != "".join(text.split()):
        raise _not("a duration", value, "90s")
    return sum(float(p.group(1)) * _SECONDS[(p.group(2) or "s").lower()] for p in parts)


def _not(kind: str, value: object, example: str) -> InvalidValueError:
    """Return the error for a value that is none of its kind; its hint is what one looks like."""
    return InvalidValueError(f"not {kind}: {value!r}", hint=f'{kind} such as "{example}"', outcome="not_sent")


def format_duration(seconds: float | None) -> str:
    """Return seconds for people; None is "-".

    Example:
        >>> format_duration(0.028), format_duration(3.25), format_duration(3725), format_duration(None)
        ('28 ms', '3.2 s', '1h02m05s', '-')
    """
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m{rest:02}s" if hours else f"{minutes}m{rest:02}s"


__all__ = ["exact_size", "format_duration", "format_size", "parse_duration", "parse_size"]
