"""Automatic retention: workers delete old runs and the history of schedules, so that the state database does not grow without end."""

from __future__ import annotations

import time
from typing import NamedTuple

from novacron.store.runs import RunStore
from novacron.store.schedules import ScheduleStore
from novacron.store.settings import Settings

EVERY = 3600.0
"""Seconds between two clean-ups of a worker."""
DAY = 86_400
PRUNED = ("done", "undone", "cancelled")
"""How a run ended that is deleted. Failed runs stay, because they can be resumed or undone."""


class Removed(NamedTuple):
    """How many runs and times of schedules were deleted."""

    runs: int
    times: int


class Housekeeping:
    """Deletes finished runs that are too old or too many, and old times of schedules.

    The settings of the fleet say how old and how many: `run_retention_days` and `run_retention_runs`.

    Args:
        runs: the stored runs.
        schedules: the stored schedules.
        settings: the settings of the fleet.
    """

    def __init__(self, runs: RunStore, schedules: ScheduleStore, settings: Settings) -> None:
        self._runs, self._schedules, self._settings = runs, schedules, settings
        self._next = 0.0

    def clean_if_due(self) -> Removed | None:
        """Clean up, at most once an hour; return None if it was not time yet.

        Raises:
            StorageError: the database can't be reached.
        """
        now = time.monotonic()
        if now < self._next:
            return None
        self._next = now + EVERY
        return self.clean()

    def clean(self) -> Removed:
        """Delete what is older or more than the settings allow. Several workers may do this at the same time."""
        seconds = float(self._settings["run_retention_days"] * DAY)
        count = self._runs.prune(older_than=seconds, keep=None, statuses=PRUNED)
        count += self._runs.prune(older_than=None, keep=self._settings["run_retention_runs"], statuses=PRUNED)
        return Removed(count, self._schedules.prune(seconds))


__all__ = ["EVERY", "Housekeeping", "Removed"]
