"""Forecasts of series."""

from __future__ import annotations

from novacron.records.record import Record


class ForecastPoint(Record, frozen=True):
    """A forecast for one time (seconds since 1970): the expected value, and a range that holds nine of ten values.

    `value` is the median, and `high` is exceeded by one value in twenty: the 95th percentile.
    """

    at: float
    value: float
    low: float
    high: float


class Forecast(Record, frozen=True):
    """What a series will probably be.

    `method` is the one with the smallest error. `error` is the mean absolute error of a forecast of the last fifth of the data from the
    rest, in the unit of the values; `naive_error` is that of the assumption that nothing changes. `problem` says why there is no forecast,
    such as too little data; there are no points then. `full_at` is when the series reaches the given level: expected, earliest and latest
    time, None where it does not within the horizon.
    """

    metric: str
    labels: dict[str, str]
    method: str = ""
    error: float | None = None
    naive_error: float | None = None
    problem: str | None = None
    points: tuple[ForecastPoint, ...] = ()
    level: float | None = None
    full_at: float | None = None
    full_earliest: float | None = None
    full_latest: float | None = None


class Anomaly(Record, frozen=True):
    """A value outside of what was usual at the same hour of past weeks. `low` and `high` are the usual range."""

    metric: str
    labels: dict[str, str]
    at: float
    value: float
    low: float
    high: float


__all__ = ["Anomaly", "Forecast", "ForecastPoint"]
