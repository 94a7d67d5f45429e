"""Forecasts of series."""

from __future__ import annotations

from novacron.records.record import Record
from novacron.records.series import Series


class ForecastPoint(Record, frozen=True):
    """A forecast for one time.

    Attributes:
        at: The time, in seconds since 1970.
        value: Expected value: the median, in the unit of the metric.
        low: Lower end of the range that holds nine of ten values.
        high: Upper end of that range, the 95th percentile: one value in twenty is above it.
    """

    at: float
    value: float
    low: float
    high: float


class Forecast(Record, frozen=True):
    """What a series will probably be.

    Attributes:
        metric: Name of the metric.
        labels: Labels of the series.
        method: Forecasting method, the one with the smallest error.
        error: Mean absolute error of a forecast of the last fifth of the data from the rest, in the unit of the metric; None
            without a forecast.
        naive_error: The same error if one assumes that nothing changes.
        problem: Why there is no forecast, such as too little data; None if there is one.
        points: The forecast, in order of time.
        level: The level that was asked about, in the unit of the metric; None if none was.
        full_at: When the series probably reaches the level, in seconds since 1970; None if not within the horizon.
        full_earliest: The earliest time for that, in seconds since 1970; None if not within the horizon.
        full_latest: The latest time for that, in seconds since 1970; None if not within the horizon.
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
    """A value outside of what was usual at the same hour of past weeks.

    Attributes:
        metric: Name of the metric.
        labels: Labels of the series.
        at: When it was measured, in seconds since 1970.
        value: The value, in the unit of the metric.
        low: Lower end of the usual range.
        high: Upper end of the usual range.
    """

    metric: str
    labels: dict[str, str]
    at: float
    value: float
    low: float
    high: float


class CapacityForecast(Record, frozen=True):
    """When a resource of a node, group or storage pool is full.

    Attributes:
        scope: Kind of the subject: "node", "group" or "pool".
        name: Name of the node, group or storage pool.
        resource: The resource, such as "memory".
        size: Size of the resource in CPUs or bytes.
        used: What is in use now, in CPUs or bytes.
        host: Name of the host of a storage pool; empty for others.
        full_p50: When it is full with a probability of one half, in seconds since 1970; None if not within the horizon.
        full_p95: When the 95th percentile of the forecast reaches the size, in seconds since 1970: it is full before then in one
            of twenty cases. None if not within the horizon.
        method: Forecasting method.
        error: Mean absolute error of the method on the last fifth of the data, in CPUs or bytes; None without a forecast.
        problem: Why there is no forecast; None if there is one.
        history: Past use: pairs of seconds since 1970, and CPUs or bytes.
        points: The forecast, in order of time.
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
    """What would use the capacity better. Nothing is done.

    Attributes:
        kind: "resize" a VM, remove an "imbalance" of a group, or delete an "orphan", a volume that no VM uses.
        subject: The VM, group or volume.
        text: Why it is recommended.
        action: What to do.
        host: Name of the host; empty for a group.
        saved_vcpus: Number of vCPUs that it saves.
        saved_memory_bytes: Memory that it saves, in bytes.
        saved_bytes: Storage that it saves, in bytes.
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
    """What an owner, tag or host used in a period.

    Attributes:
        by: What is reported: "owner", "tag" or "host".
        subject: Name of the owner, tag or host.
        since: Begin of the period, in seconds since 1970.
        until: End of the period, in seconds since 1970.
        vms: Largest number of VMs at a time.
        vcpu_hours: Sum of vCPUs times hours.
        memory_gib_hours: Sum of GiB of memory times hours.
        storage_gib_hours: Sum of GiB of storage times hours.
    """

    by: str
    subject: str
    since: float
    until: float
    vms: int
    vcpu_hours: float
    memory_gib_hours: float
    storage_gib_hours: float


__all__ = ["Anomaly", "CapacityForecast", "Forecast", "ForecastPoint", "Recommendation", "UsageRecord"]
