"""Which of many snapshots to keep: the latest ones, and one for each of the latest hours, days and weeks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

BUCKETS: dict[str, Callable[[datetime], tuple[int, ...]]] = {
    "hourly": lambda at: (at.year, at.month, at.day, at.hour),
    "daily": lambda at: (at.year, at.month, at.day),
    "weekly": lambda at: tuple(at.isocalendar())[:2],
}
"""What makes two times the same hour, day, week; in UTC."""


def kept(times: Iterable[datetime], *, last: int = 0, hourly: int = 0, daily: int = 0, weekly: int = 0) -> set[datetime]:
    """Return the times to keep: the `last` ones, and the latest of each of the latest hours, days and weeks that have any.

    Example:
        >>> day = [datetime(2026, 11, 24, hour, tzinfo=UTC) for hour in range(24)]
        >>> sorted(at.hour for at in kept(day, last=2, daily=1)), sorted(at.hour for at in kept(day, hourly=3))
        ([22, 23], [21, 22, 23])
    """
    latest_first = sorted(times, reverse=True)
    found = set(latest_first[:last])
    for name, count in {"hourly": hourly, "daily": daily, "weekly": weekly}.items():
        newest: dict[tuple[int, ...], datetime] = {}
        for at in latest_first:
            newest.setdefault(BUCKETS[name](at.astimezone(UTC)), at)
        found |= set(list(newest.values())[:count])
    return found


__all__ = ["BUCKETS", "kept"]
