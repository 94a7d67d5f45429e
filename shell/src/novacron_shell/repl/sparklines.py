"""Curves on one line of text."""

from __future__ import annotations

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int = 0) -> str:
    """Return values as bars of a line; the highest value has the highest bar, a missing value is a blank.

    Args:
        values: oldest first; none is negative.
        width: how many of the latest values are shown; 0 for all.

    Example:
        >>> sparkline([0, 1, 2, 4, None, 8]), sparkline([]), sparkline([0, 0]), sparkline([1, 2, 3], 2)
        ('▁▂▃▅ █', '', '▁▁', '▆█')
    """
    shown = list(values)[-width:] if width else list(values)
    most = max((value for value in shown if value is not None), default=0) or 1
    return "".join(" " if value is None else BARS[round(max(0.0, value) / most * (len(BARS) - 1))] for value in shown)


__all__ = ["sparkline"]
