"""The metrics of the fleet: `novacron.fleet().metrics`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, NotFoundError, SpecProblem
from novacron.handles.metrics import SHORT
from novacron.monitoring import builtin
from novacron.monitoring.collector import AskedFleet, Collector
from novacron.monitoring.compaction import Compaction
from novacron.monitoring.database_calls import DatabaseCalls
from novacron.monitoring.forecasting import Method, anomalies, forecast, with_plugins
from novacron.monitoring.history import History, Shown
from novacron.monitoring.imports import import_history
from novacron.monitoring.inspection import Inspection
from novacron.monitoring.layouts import Labels, Layouts, Round, SeriesKey
from novacron.monitoring.remote import Remote
from novacron.monitoring.sources import SERIES_LIMIT, custom, custom_key
from novacron.monitoring.storage import MetricStorage
from novacron.monitoring.usage import UsageSource
from novacron.plotting import Plot
from novacron.plugins.names import refuse_claimed
from novacron.records.forecasts import Anomaly, Forecast
from novacron.records.series import MetricDefinition, Sample, Series
from novacron.redaction import described
from novacron.store.allocations import AllocationStore
from novacron.store.leases import Lease, LeaseStore
from novacron.store.nodes import NodeStore
from novacron.units import parse_duration

if TYPE_CHECKING:
    from novacron.hookspecs.application import MetricExporter, MetricSource
    from novacron.store.database import Database
    from novacron.store.processes import ProcessRecord

OLDEST, AHEAD = 23 * 3600.0, 3600.0
"""How many seconds ago a pushed value may be from, and how far ahead of the database's clock."""
LONGEST_IMPORT = 3600.0
"""Seconds that the import of a host's history may take."""
COLLECTION = "metrics"
"""The name of the lease of the process that collects."""


class FleetMetrics:
    """The metrics of all hosts and VMs, now and in the past.

    Args:
        fleet: the hosts.
        database: returns the state database.
        join: registers this process in the state database and returns it.
        hook: returns the hooks of plugins.
        settings: the fleet's settings, which say how long values are kept.
        runs: returns the workflow runs.
        tokens: returns the tokens that alerts are sent with: what looks up the value, by the name of its secret.

    Example:
        >>> import novacron
        >>> fleet = novacron.fleet()
        >>> _ = fleet.add("measured", "sim://measured?vms=2")
        >>> now = fleet.metrics.measure()
        >>> sorted(sample.labels["name"] for sample in now.samples() if sample.metric == "novacron_vm_running")
        ['vm-00001', 'vm-00002']
        >>> fleet.remove("measured")
    """

    def __init__(
        self,
        fleet: AskedFleet,
        database: Callable[[], Database],
        join: Callable[[str], ProcessRecord],
        hook: Callable[[], Any],
        settings: Mapping[str, int],
        runs: Callable[[], Any],
        tokens: Callable[[], Mapping[str, Callable[[], str]]] = dict,
    ) -> None:
        self._runs, self._alert_tokens = runs, tokens
        self._settings = settings
        self._fleet, self._database, self._join, self._hook = fleet, database, join, hook
        self._own_sources: list[MetricSource] = []
        self._own_exporters: list[MetricExporter] = []
        self._guard = threading.Lock()
        self._made: MetricStorage | None = None

    def __repr__(self) -> str:
        return "<metrics of the fleet>"

    @property
    def storage(self) -> MetricStorage:
        """The rows of metrics in the state database."""
        with self._guard:
            if self._made is None:
                self._made = MetricStorage(self._database(), Layouts())
            return self._made

    def definitions(self) -> dict[str, MetricDefinition]:
        """Return the metrics that are known by name: built-in ones, and those of plugins.

        Raises:
            InvalidSpecError: a plugin defines an invalid metric, or one that another source has.

        Example:
            >>> import novacron
            >>> novacron.fleet().metrics.definitions()["novacron_pool_available_bytes"].unit
            'bytes'
        """
        found = builtin.definitions()
        for source in self.sources():
            for one in source.definitions():
                one.check()
                if one.name in found and found[one.name] != one:
                    problem = SpecProblem("name", one.name, "a name that no other metric has")
                    raise InvalidSpecError(f"the source {source.name!r} defines a metric again", problems=[problem])
                found[one.name] = one
        return found

    def sources(self) -> list[MetricSource]:
        """Return the sources of metrics besides the hosts: those of plugins, and those that `add_source` added."""
        return [source for some in self._hook().metric_sources() for source in some] + self._own_sources

    def add_source(self, source: MetricSource) -> None:
        """Let the collectors of this process ask one more source: a command, an HTTP endpoint, a program in a guest, or your own.

        Args:
            source: such as `novacron.monitoring.sources.EndpointSource("app", "http://127.0.0.1:9100/metrics")`.
        """
        self._own_sources.append(source)

    def exporters(self) -> list[MetricExporter]:
        """Return what receives all samples of each round: the exporters of plugins, and those that `add_exporter` added."""
        return [one for some in self._hook().metric_exporters() for one in some] + self._own_exporters

    def add_exporter(self, exporter: MetricExporter) -> None:
        """Let the collectors of this process give all samples of each round to one more receiver.

        Args:
            exporter: such as `novacron.monitoring.remote.RemoteWriter("http://127.0.0.1:9090/api/v1/write")`.
        """
        self._own_exporters.append(exporter)

    def put(
        self,
        metric: str | Iterable[Sample],
        value: float | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        source: str = "put",
    ) -> int:
        """Store values of metrics of your own. They are in the history at once, and in exporters and alerts from the next interval.

        Args:
            metric: the metric's name, or samples.
            value: the value, if a name is given.
            labels: labels of the value.
            source: who pushes: each source may have 10,000 series.

        Returns:
            How many values were stored.

        Raises:
            InvalidSpecError: an invalid name, label or value, a built-in metric, a time that is more than 23 hours ago or an hour
                ahead, or too many series. Nothing is stored then.

        Example:
            >>> import novacron
            >>> novacron.fleet().metrics.put("myapp_queue_length", 3, labels={"queue": "mail"})
            1
        """
        if isinstance(metric, str):
            metric = [Sample(metric=metric, value=value, labels=dict(labels or {}))]  # type: ignore[arg-type]  # check names it
        samples = list(metric)
        for sample in samples:
            sample.check()
            if sample.metric in builtin.definitions():
                problem = SpecProblem("metric", sample.metric, "a name that NovaCron does not measure itself")
                raise InvalidSpecError("can't store that metric", problems=[problem])
        self._check_limit(source, samples)
        now = self.storage.now()
        if any(sample.at is not None and not now - OLDEST <= sample.at <= now + AHEAD for sample in samples):
            problem = SpecProblem("at", "a time too far away", "times of the last 23 hours")
            raise InvalidSpecError("can't store values of that time", problems=[problem])
        times: dict[float, dict[Labels, dict[SeriesKey, float]]] = {}
        for sample in samples:
            rows = times.setdefault(now if sample.at is None else float(sample.at), {})
            rows.setdefault(tuple(sorted(sample.labels.items())), {})[SeriesKey(sample.metric)] = float(sample.value)
        for at, rows in sorted(times.items()):
            self.storage.write(at, [custom(f"{source} {min(v)[0]}", known, v, self.storage.layouts) for known, v in _apart(rows)])
        return len(samples)

    def import_history(self, host: str, *, since: float | str | timedelta = "23h") -> int:
        """Store what a host's hypervisor knows about the past of its VMs. The service that collects does this for each new host.

        A vCenter has samples of 20 seconds of the last hour, and averages of longer intervals before. CPU time and used memory have the
        series that a collector stores. Disks and NICs have the label `disk="all"` or `nic="all"`, because no values of each of them are
        stored. Nothing is imported for times from the first stored value of a VM on, so a second import adds no doubles.

        Args:
            host: the name of a host of the fleet.
            since: how far to look back; at most 23 hours.

        Returns:
            How many values were stored.

        Raises:
            NotFoundError: the fleet has no such host.
            UnsupportedOperationError: its hypervisor stores no history.
            InvalidSpecError: `since` is too long.

        Example:
            >>> import novacron
            >>> fleet = novacron.fleet()
            >>> _ = fleet.add("imported", "sim://imported?vms=1")
            >>> fleet.metrics.import_history("imported") >= 0
            True
            >>> fleet.remove("imported")
        """
        seconds = parse_duration(since)
        if not 0 < seconds <= OLDEST:
            problem = SpecProblem("since", str(since), "a duration of at most 23h")
            raise InvalidSpecError("can't import that history", problems=[problem])
        if host not in {one.name for one in self._fleet.list()}:
            raise NotFoundError(f"no host {host!r}", resource=host, hint="`novacron host list` lists them")
        storage = self.storage
        work = partial(import_history, storage=storage, seconds=seconds, now=storage.now())
        (answer,) = self._fleet.ask([host], work, timeout=LONGEST_IMPORT, limit=1)
        if answer.error is not None:
            raise answer.error
        return int(answer.value)

    def import_first(self, host: str) -> int:
        """Import the history of a host, unless it has been collected from for longer than that; see `import_history`."""
        up = builtin.HOST_OWN["up"].name
        before = self.query(up, labels={"host": host}, since=2 * OLDEST, step=3600.0, show="last")
        known = any(at < self.storage.now() - OLDEST - 3600.0 for one in before for at, _ in one.points)
        return 0 if known else self.import_history(host)

    def query(
        self,
        metric: str,
        *,
        labels: Mapping[str, str] | None = None,
        since: float | str | timedelta | datetime = "1h",
        until: datetime | None = None,
        step: float | str | timedelta | None = None,
        show: Shown | None = None,
        limit: int = 10_000,
    ) -> list[Series]:
        """Return the stored history of a metric.

        Samples are kept for two days, 5-minute roll-ups for 30 days, and hourly ones for a year (settings `metrics_days`,
        `metrics_5m_days`, `metrics_1h_days`). Where samples are no longer kept, the points are those of the roll-ups.

        Args:
            metric: the metric's name.
            labels: only series that have these labels.
            since: how long ago the period starts, or its start.
            until: its end; now when None.
            step: return one point for each step; every sample when None.
            show: "average", "minimum", "maximum", "last" or "count" of each step, or "rate" per second or "increase" of a counter.
                By default the average of a gauge, and the rate of a counter.
            limit: the largest number of series.

        Returns:
            One series for each set of labels, sorted by labels.

        Raises:
            InvalidSpecError: an invalid argument, or more series than `limit`.

        Example:
            >>> import novacron
            >>> metrics = novacron.fleet().metrics
            >>> _ = metrics.put("myapp_load", 3, labels={"app": "a"}), metrics.put("myapp_load", 5, labels={"app": "b"})
            >>> [(series.labels["app"], series.last) for series in metrics.query("myapp_load")]
            [('a', 3.0), ('b', 5.0)]
        """
        if until is not None and not isinstance(until, datetime):
            problem = SpecProblem("until", described(until), "a datetime, or None for now")
            raise InvalidSpecError("can't look that up", problems=[problem])
        now = self.storage.now()
        end = now if until is None else until.timestamp()
        start = since.timestamp() if isinstance(since, datetime) else end - parse_duration(since)
        width = None if step is None else parse_duration(step)
        if not isinstance(metric, str) or start > end or width == 0 or (width and (end - start) / width > 1_000_000):
            problem = SpecProblem("since", f"{since} step {step}", "a metric, a period of time, and a step within it")
            raise InvalidSpecError("can't look that up", problems=[problem])
        known = builtin.definitions()
        history = History(self.storage, known)
        return history.query(metric, labels=labels, since=start, until=end, age=now - start, step=width, show=show, limit=limit)

    def plot(
        self,
        metric: str,
        *,
        labels: Mapping[str, str] | None = None,
        since: float | str | timedelta | datetime = "1h",
        step: float | str | timedelta | None = None,
        show: Shown | None = None,
    ) -> Plot:
        """Return a line chart of the stored history of a metric, of all hosts or VMs. At most eight series are drawn, the highest first.

        Args:
            metric: cpu, memory, disk_read, disk_written, received, sent (of VMs), or the full name of a metric.
            labels: only series that have these labels.
            since: as in `query`.
            step: as in `query`.
            show: as in `query`.

        Returns:
            The chart. The shell and notebooks show it; `save("cpu.svg")` writes a picture.

        Raises:
            InvalidSpecError: an invalid argument.

        Example:
            >>> import novacron
            >>> metrics = novacron.fleet().metrics
            >>> _ = metrics.put("myapp_queue", 3)
            >>> metrics.plot("myapp_queue", since="5m"), novacron.fleet().plot("myapp_queue")
            (<plot of myapp_queue: 1 series>, <plot of myapp_queue: 1 series>)
        """
        found = self.query(SHORT.get(metric, metric), labels=labels, since=since, step=step, show=show)
        return Plot(found, metric)

    def forecast(
        self,
        metric: str,
        *,
        labels: Mapping[str, str] | None = None,
        since: float | str | timedelta = "30d",
        horizon: float | str | timedelta = "7d",
        step: float | str | timedelta = "1h",
        level: float | None = None,
        method: str | None = None,
    ) -> list[Forecast]:
        """Forecast a metric from its stored history.

        Args:
            metric: the metric's name.
            labels: only series that have these labels.
            since: how much of the past to use.
            horizon: how far to look ahead.
            step: the distance of two values.
            level: say when the series reaches this value.
            method: linear, seasonal, holt_winters or a plugin's forecaster; by default the one with the smallest error on data that it
                has not seen.

        Returns:
            One forecast for each series. Its `problem` says why there is none, for example too little data.

        Raises:
            InvalidSpecError: an invalid argument.

        Example:
            >>> import novacron
            >>> metrics = novacron.fleet().metrics
            >>> _ = metrics.put("forecast_example", 3)
            >>> metrics.forecast("forecast_example")[0].problem
            'too little data: 1 values of 3600 s, 24 are needed'
        """
        width, ahead = parse_duration(step), parse_duration(horizon)
        found = self.query(metric, labels=labels, since=since, step=width)
        methods = self.forecasters()
        if method is not None and method not in methods:
            refuse_claimed("forecaster", method, self._hook().forecasters, name_of=attrgetter("__name__"))
        return [forecast(one, step=width, horizon=ahead, level=level, method=method, methods=methods) for one in found]

    def forecasters(self) -> Mapping[str, Method]:
        """Return the methods of forecasts by name: the built-in ones, and those of plugins."""
        return with_plugins(self._hook())

    def forecast_pools(
        self,
        *,
        labels: Mapping[str, str] | None = None,
        since: float | str | timedelta = "30d",
        horizon: float | str | timedelta = "90d",
    ) -> list[Forecast]:
        """Forecast when storage pools will be full: `full_at` with its range from `full_earliest` to `full_latest`.

        Args:
            labels: only pools with these labels: host, pool.
            since: how much of the past to use.
            horizon: how far to look ahead.
        """
        found = []
        for one in self.query("novacron_pool_capacity_bytes", labels=labels, since="1d", show="last"):
            used, size = "novacron_pool_allocated_bytes", one.last
            found += self.forecast(used, labels=one.labels, since=since, horizon=horizon, level=size)
        return found

    def anomalies(
        self, metric: str, *, labels: Mapping[str, str] | None = None, since: float | str | timedelta = "1d"
    ) -> list[Anomaly]:
        """Return the hourly values of a metric that differ from those of the same hour of past weeks.

        Args:
            metric: the metric's name.
            labels: only series that have these labels.
            since: how far back to look for anomalies. The three to twelve weeks before are what is usual.
        """
        start = self.storage.now() - parse_duration(since)
        found = self.query(metric, labels=labels, since=parse_duration(since) + 12 * 7 * 86400.0, step="1h")
        return [anomaly for one in found for anomaly in anomalies(one, since=start)]

    def measure(self, *, timeout: float = 10.0) -> Round:
        """Measure all hosts and sources now, without storing anything.

        Args:
            timeout: seconds that each host may take.
        """
        return Collector(self._fleet, self.storage, sources=self.sources, timeout=timeout).collect()

    def take_collection(self) -> Lease | None:
        """Take the right to collect for all processes of the state database; None if another live process has it."""
        return LeaseStore(self._database()).take(COLLECTION, self._join("monitor").id)

    def release_collection(self, lease: Lease) -> None:
        """Give the right to collect back."""
        LeaseStore(self._database()).release(lease)

    def collecting(self) -> str | None:
        """Return the name of the process that collects, None if there is none."""
        return LeaseStore(self._database()).holder(COLLECTION)

    def collector(self, *, timeout: float = 10.0, interval: float = 60.0, calls: DatabaseCalls | None = None) -> Collector | None:
        """Return a collector that stores what it measures; None if another live process collects.

        Args:
            timeout: seconds that each host may take.
            interval: seconds between two rounds.
            calls: gives calls of the database a deadline.
        """
        lease = self.take_collection()
        if lease is None:
            return None
        return Collector(
            self._fleet,
            self.storage,
            sources=lambda: [
                *self.sources(),
                UsageSource(NodeStore(self._database).list, AllocationStore(self._database).list),
                Inspection(self._fleet, self._runs, self._vms_with_agents, tokens=self._tokens),
            ],
            exporters=self.exporters,
            timeout=timeout,
            interval=interval,
            lease=lease,
            calls=calls,
        )

    def compaction(self, lease: Lease | None) -> Compaction:
        """Return what packs and deletes old values; the holder of the lease does so after each round."""
        return Compaction(self.storage, self._settings, lease)

    def _tokens(self) -> dict[str, Callable[[], str]]:
        """Return the tokens that alerts and exporters are sent with, by name."""
        sent = {one.name: one.token for one in self.exporters() if isinstance(one, Remote) and one.token is not None}
        return sent | dict(self._alert_tokens())

    def _vms_with_agents(self) -> set[str]:
        """Return the VMs whose guest agent was connected in the last two days."""
        agent = builtin.SLOW["agent"].name
        return {one.labels["vm"] for one in self.query(agent, since="2d", step="1d", show="last", limit=1_000_000)}

    def _check_limit(self, source: str, samples: Sequence[Sample]) -> None:
        given = {custom_key(f"{source} {s.metric}", tuple(sorted(s.labels.items()))) for s in samples}
        known = {key for _, key, _ in self.storage.objects("custom").values() if key.startswith(f"{source} ")}
        if len(given - known) > max(0, SERIES_LIMIT - len(known)):
            problem = SpecProblem("labels", f"{len(known | given)} series", f"at most {SERIES_LIMIT} for each source")
            raise InvalidSpecError(f"the source {source!r} has too many series", problems=[problem])


def _apart(rows: dict[Labels, dict[SeriesKey, float]]) -> list[tuple[Labels, dict[SeriesKey, float]]]:
    """Return one object for each metric and set of labels, so that the next push of one metric does not replace another."""
    return [(labels, {key: value}) for labels, values in rows.items() for key, value in values.items()]


__all__ = ["COLLECTION", "FleetMetrics"]
