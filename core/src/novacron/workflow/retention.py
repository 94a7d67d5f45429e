"""Which of many snapshots to keep: the latest ones, and one for each of the latest hours, days and weeks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from typing import TypeVar

K = TypeVar("K")
BUCKETS: dict[str, Callable[[datetime], tuple[int, ...]]] = {
    "hourly": lambda at: (at.year, at.month, at.day, at.hour, at.fold),
    "daily": lambda at: (at.year, at.month, at.day),
    "weekly": lambda at: tuple(at.isocalendar())[:2],
}
"""What makes two local times the same hour, day or week."""


def chosen(
    items: Iterable[tuple[datetime, K]],
    *,
    last: int = 0,
    hourly: int = 0,
    daily: int = 0,
    weekly: int = 0,
    zone: tzinfo | None = None,
) -> set[K]:
    """Return the items to keep: the `last` ones, and the latest of each of the latest hours, days and weeks that have any.

    Args:
        items: when each was made, and what identifies it. Of items of the same moment, the last one counts as the latest.
        zone: whose hours, days and weeks are meant; the system's when None.
    """
    latest_first = [*sorted(items, key=lambda item: item[0])][::-1]
    found = {key for _, key in latest_first[:last]}
    for name, count in {"hourly": hourly, "daily": daily, "weekly": weekly}.items():
        newest: dict[tuple[int, ...], K] = {}
        for at, key in latest_first:
            newest.setdefault(BUCKETS[name](at.astimezone(zone)), key)
        found |= set(list(newest.values())[:count])
    return found


def kept(
    times: Iterable[datetime], *, last: int = 0, hourly: int = 0, daily: int = 0, weekly: int = 0, zone: tzinfo | None = None
) -> set[datetime]:
    """Return the times to keep, as `chosen`.

    Example:
        >>> from datetime import UTC
        >>> day = [datetime(2026, 11, 24, hour, tzinfo=UTC) for hour in range(24)]
        >>> sorted(at.hour for at in kept(day, last=2, daily=1, zone=UTC))
        [22, 23]
        >>> sorted(at.hour for at in kept(day, hourly=3, zone=UTC))
        [21, 22, 23]
    """
    return chosen(((at, at) for at in times), last=last, hourly=hourly, daily=daily, weekly=weekly, zone=zone)


__all__ = ["BUCKETS", "chosen", "kept"]
