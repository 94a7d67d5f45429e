"""Curves on one line of text."""

from __future__ import annotations

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int = 0, *, full: float | None = None) -> str:
    """Return values as bars of a line; a missing value is a blank.

    Args:
        values: oldest first; none is negative.
        full: the value of the highest bar; None for the highest value that is shown.
        width: how many of the latest values are shown; 0 for all.

    Example:
        >>> sparkline([0, 1, 2, 4, None, 8]), sparkline([]), sparkline([0, 0]), sparkline([1, 2, 3], 2), sparkline([1, 9], full=4)
        ('▁▂▃▅ █', '', '▁▁', '▆█', '▃█')
    """
    shown = list(values)[-width:] if width else list(values)
    most = full or max((value for value in shown if value is not None), default=0) or 1
    return "".join(" " if value is None else BARS[round(min(1.0, max(0.0, value) / most) * (len(BARS) - 1))] for value in shown)


__all__ = ["sparkline"]
