"""Forecasts of series."""

from __future__ import annotations

from novacron.records.record import Record
from novacron.records.series import Series


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


class CapacityForecast(Record, frozen=True):
    """When a resource of a node, group or storage pool is full. Times are in seconds since 1970.

    `full_p50` is when it is full with a probability of one half, and `full_p95` when the 95th percentile of the forecast reaches the size:
    it is full before then in one of twenty cases. Both are None if that is not within the horizon. `size` and `used` are CPUs or bytes.
    `error` is the mean absolute error of `method` on the last fifth of the data. `problem` says why there is no forecast.
    """

    scope: str
    name: str
    resource: str
    size: float
    used: float
    host: str = ""
    full_p50: float | None = None
    full_p95: float | None = None
    method: str = ""
    error: float | None = None
    problem: str | None = None
    history: tuple[tuple[float, float], ...] = ()
    points: tuple[ForecastPoint, ...] = ()

    def chart(self) -> tuple[Series, ...]:
        """Return three series for a chart, in percent of the size: the past, the median of the forecast, and its 95th percentile."""
        lines = {
            "used": self.history,
            "p50": tuple((point.at, point.value) for point in self.points),
            "p95": tuple((point.at, point.high) for point in self.points),
        }
        share = 100 / self.size
        return tuple(
            Series(metric="percent", labels={"line": name}, points=tuple((at, value * share) for at, value in points), unit="%")
            for name, points in lines.items()
        )


class Recommendation(Record, frozen=True):
    """What would use the capacity better: `resize` a VM, remove an `imbalance` of a group, or delete an `orphan`, a volume without user.

    `text` says why, and `action` what to do. Nothing is done.
    """

    kind: str
    subject: str
    text: str
    action: str
    host: str = ""
    saved_vcpus: int = 0
    saved_memory_bytes: int = 0
    saved_bytes: int = 0


class UsageRecord(Record, frozen=True):
    """What an owner, tag or host used in a period: `vms` is the largest number of VMs at a time. Times are in seconds since 1970."""

    by: str
    subject: str
    since: float
    until: float
    vms: int
    vcpu_hours: float
    memory_gib_hours: float
    storage_gib_hours: float


__all__ = ["Anomaly", "CapacityForecast", "Forecast", "ForecastPoint", "Recommendation", "UsageRecord"]
