"""The times of a cron expression in a time zone, across changes to and from summer time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from novacron.errors import InvalidSpecError, SpecProblem

FORM = "minute hour day month weekday, such as `0 3 * * *`"


def times_after(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Return the times of a cron expression after a moment, in its time zone, without end.

    At the end of summer time, an hour comes twice. A job at fixed hours runs in the first one only; a job with `*` as its hour runs in
    both. At the beginning of summer time, a time in the hour that is skipped moves to the next full hour.

    Raises:
        InvalidSpecError: the expression has no times, such as `0 0 30 2 *`.

    Example:
        >>> found = times_after("30 1 * * *", "America/New_York", datetime(2026, 11, 1, 5, tzinfo=UTC))
        >>> [next(found).astimezone(UTC).isoformat() for _ in range(2)]
        ['2026-11-01T05:30:00+00:00', '2026-11-02T06:30:00+00:00']
    """
    return _times(cron, timezone, after, "get_next")


def latest_until(cron: str, timezone: str, until: datetime, after: datetime) -> datetime | None:
    """Return the latest time of a cron expression that is at or before a moment and later than another; None if there is none."""
    found = next(times_until(cron, timezone, until), None)
    return found if found is not None and found > after else None


def times_until(cron: str, timezone: str, until: datetime) -> Iterator[datetime]:
    """Yield the times of a cron expression that are at or before a moment, the latest first."""
    from datetime import timedelta

    return _times(cron, timezone, until + timedelta(microseconds=1), "get_prev")


def _times(cron: str, timezone: str, begin: datetime, direction: str) -> Iterator[datetime]:
    from croniter import croniter
    from croniter.croniter import CroniterBadDateError, CroniterError

    zone = ZoneInfo(timezone)
    every_hour = cron.split()[-4].startswith("*") if len(cron.split()) >= 5 else True
    try:
        times = croniter(cron, begin.astimezone(zone), second_at_beginning=True)
    except CroniterError as error:
        raise InvalidSpecError("invalid schedule", problems=[SpecProblem("cron", cron, FORM)]) from error
    while True:
        try:
            at = getattr(times, direction)(datetime).astimezone(UTC).astimezone(zone)
        except CroniterBadDateError as error:
            problem = SpecProblem("cron", cron, "times that come: no date within 50 years fits")
            raise InvalidSpecError("invalid schedule", problems=[problem]) from error
        if every_hour or not at.fold:
            yield at


__all__ = ["FORM", "latest_until", "times_after", "times_until"]
