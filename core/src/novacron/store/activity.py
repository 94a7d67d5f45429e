"""Counts the workflow runs that have not ended and the alerts that fire, without SQLAlchemy where the database is SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from novacron.store.quick import read_rows

STATEMENT = """
SELECT (SELECT count(*) FROM runs WHERE ended_at IS NULL),
       (SELECT count(*) FROM alert_states WHERE json_extract(data, '$.alert.state') = 'firing')
"""


class Activity(NamedTuple):
    """What is going on in the fleet.

    Attributes:
        runs: workflow runs that have not ended.
        alerts: alerts that fire.
    """

    runs: int = 0
    alerts: int = 0


def read_activity(file: Path) -> Activity:
    """Read the numbers from an SQLite file; zeros if it does not exist yet. Raises StorageError."""
    return next((Activity(*row) for row in read_rows(file, STATEMENT)), Activity())


__all__ = ["Activity", "read_activity"]
