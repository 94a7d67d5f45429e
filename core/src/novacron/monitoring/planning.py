"""Capacity planning from the history: when nodes, groups and pools are full, what would help, and who used how much."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.monitoring.forecasting import forecast
from novacron.records.capacity import FleetNode
from novacron.records.forecasts import CapacityForecast, Forecast, Recommendation, UsageRecord
from novacron.records.series import Series
from novacron.units import format_size, parse_duration

if TYPE_CHECKING:
    from novacron.monitoring.metrics import FleetMetrics

HOUR = 3600.0
SCOPES = ("node", "group", "pool")
SUBJECTS = ("owner", "tag", "host")
"""By what the usage is summed up."""
WEEK_OF_HOURS = 150
"""How many hours a VM has to have run before its size is judged: nearly a week."""
BUSY, USED = 0.4, 0.5
"""Shares of vCPUs and of memory. A VM that never uses so much is larger than it has to be."""
ROOM = 1.5
"""A recommended size is the highest use times this."""
SPREAD = 0.25
"""The difference of two nodes' shares of busy CPUs, or of used memory, that is called an imbalance."""
GIB = 2**30


class CapacityPlanning:
    """Forecasts, recommendations and accounting for the fleet: `fleet.planning`.

    Args:
        metrics: the fleet's metrics, whose history is used. `novacron monitor collect` stores it.
        nodes: returns the nodes of the fleet, as they are stored.
        orphans: returns volumes that nothing uses.

    Example:
        >>> import novacron
        >>> novacron.fleet().planning.forecast("pool", "no-such-pool")
        []
    """

    def __init__(
        self,
        metrics: FleetMetrics,
        nodes: Callable[[], Sequence[FleetNode]],
        orphans: Callable[[], Iterable[Any]] = tuple,
    ) -> None:
        self._metrics, self._nodes, self._orphans = metrics, nodes, orphans

    def __repr__(self) -> str:
        return "<capacity planning of the fleet>"

    def forecast(
        self,
        scope: str | None = None,
        name: str | None = None,
        *,
        since: float | str | timedelta = "30d",
        horizon: float | str | timedelta = "90d",
    ) -> list[CapacityForecast]:
        """Forecast when nodes, groups and storage pools are full.

        CPUs and memory are forecast for each node and for each group; the storage of a group is that of its pools. A vCenter is one row:
        it reports the sums of its nodes.

        Args:
            scope: "node", "group" or "pool"; all of them when None.
            name: only the node, group or pool of this name.
            since: how much of the past to use.
            horizon: how far to look ahead.

        Returns:
            One record for each resource, sorted by scope, name and resource. `problem` says why there is no forecast.

        Raises:
            InvalidSpecError: an unknown scope, or an invalid duration.
        """
        if scope not in (None, *SCOPES):
            problem = SpecProblem("scope", str(scope), "one of " + ", ".join(SCOPES))
            raise InvalidSpecError("can't forecast that", problems=[problem])
        ahead = parse_duration(horizon)
        found, methods = [], self._metrics.forecasters()
        for kind, of, host, resource, used, size in self._all_uses(since):
            if scope in (None, kind) and name in (None, of):
                made = forecast(used, step=HOUR, horizon=ahead, level=size, methods=methods)
                found.append(_capacity(kind, of, host, resource, used, size, made))
        order = {kind: number for number, kind in enumerate(SCOPES)}
        return sorted(found, key=lambda one: (order[one.scope], one.name, one.host, one.resource))

    def recommendations(self, *, since: float | str | timedelta = "14d") -> list[Recommendation]:
        """Return what would use the capacity better: smaller VMs, a balanced group, volumes that nothing uses.

        A VM is judged by its use in each hour, after nearly a week. Memory is judged only if its guest reports what it uses.

        Args:
            since: the period to look at.

        Returns:
            One record for each recommendation, sorted by kind and subject. Nothing is changed.
        """
        found = [*self._sizes(since), *self._imbalances(since), *self._unused_volumes()]
        return sorted(found, key=lambda one: (one.kind, one.subject, one.host))

    def usage(
        self, by: str = "owner", *, since: float | str | timedelta = "30d", step: float | str | timedelta | None = None
    ) -> list[UsageRecord]:
        """Return how much of the fleet's capacity was allocated, by owner, tag or host.

        The collector stores the allocations of nodes that belong to groups. An hour of one vCPU is one vCPU hour, whether it was busy or
        not. Stopped VMs use storage only. A VM with several tags counts for each of them.

        Args:
            by: "owner", "tag" or "host".
            since: the period.
            step: the length of the parts of the period, such as "1d"; one record for the whole period when None.

        Returns:
            One record for each subject and part of the period, sorted by subject and time.

        Raises:
            InvalidSpecError: an unknown subject, or an invalid duration.
        """
        if by not in SUBJECTS:
            raise InvalidSpecError("can't sum up by that", problems=[SpecProblem("by", by, "one of " + ", ".join(SUBJECTS))])
        period, now = parse_duration(since), self._metrics.storage.now()
        width = period if step is None else parse_duration(step)
        sums: dict[tuple[str, float], dict[str, float]] = defaultdict(lambda: dict.fromkeys(("vms", *_HOURS), 0.0))
        for field, metric in (("vms", "vms"), *_HOURS.items()):
            for series in self._metrics.query(f"novacron_usage_{metric}", labels={"by": by}, since=period, step=HOUR):
                for at, value in series.points:
                    start = now - period + math.floor((at - now + period) / width) * width
                    row = sums[series.labels.get("subject", ""), max(start, now - period)]
                    row[field] = max(row[field], value) if field == "vms" else row[field] + value
        return [
            UsageRecord(
                by=by,
                subject=subject,
                since=start,
                until=min(start + width, now),
                vms=int(row["vms"]),
                vcpu_hours=row["vcpu_hours"],
                memory_gib_hours=row["memory_gib_hours"] / GIB,
                storage_gib_hours=row["storage_gib_hours"] / GIB,
            )
            for (subject, start), row in sorted(sums.items())
        ]

    def _all_uses(self, since: Any) -> Iterator[tuple[str, str, str, str, Series, float]]:
        """Yield scope, name, host, resource, the used amount and the size."""
        hosts, pools = self._host_uses(since), list(self._pool_uses(since))
        for of_host in hosts.values():
            yield from of_host
        for host, pool, used, size in pools:
            yield "pool", pool, host, "storage", used, size
        for group, members in sorted(self._groups().items()):
            of_group = [use for host in members for use in hosts.get(host, ())]
            uses = [(resource, used, size) for *_, resource, used, size in of_group]
            uses += [("storage", used, size) for host, _, used, size in pools if host in members]
            for resource in ("cpu", "memory", "storage"):
                some = [(used, size) for name, used, size in uses if name == resource]
                if some:
                    yield "group", group, "", resource, added([used for used, _ in some]), math.fsum(size for _, size in some)

    def _host_uses(self, since: Any) -> dict[str, list[tuple[str, str, str, str, Series, float]]]:
        cpus, memory = (self._last(f"novacron_host_{metric}") for metric in ("cpus", "memory_bytes"))
        busy = self._hourly("novacron_host_cpu_seconds_total", since)
        free = self._hourly("novacron_host_memory_free_bytes", since)
        found: dict[str, list[tuple[str, str, str, str, Series, float]]] = defaultdict(list)
        for host, series in busy.items():
            if cpus.get(host):
                found[host].append(("node", host, host, "cpu", series, cpus[host]))
        for host, series in free.items():
            if size := memory.get(host):
                used = series.replace(points=tuple((at, size - value) for at, value in series.points))
                found[host].append(("node", host, host, "memory", used, size))
        return found

    def _pool_uses(self, since: Any) -> Iterator[tuple[str, str, Series, float]]:
        sizes = {
            (one.labels["host"], one.labels["pool"]): one.last
            for one in self._metrics.query("novacron_pool_capacity_bytes", since="1d", show="last")
        }
        for one in self._metrics.query("novacron_pool_allocated_bytes", since=since, step=HOUR):
            if size := sizes.get((one.labels["host"], one.labels["pool"])):
                yield one.labels["host"], one.labels["pool"], one, size

    def _groups(self) -> dict[str, set[str]]:
        """Return the names of the hosts of each group. A vCenter whose nodes are in several groups belongs to none of them."""
        groups: dict[str, set[str | None]] = defaultdict(set)
        for node in self._nodes():
            groups[node.host].add(node.group)
        members: dict[str, set[str]] = defaultdict(set)
        for host, names in groups.items():
            group = names.pop() if len(names) == 1 else None
            if group is not None:
                members[group].add(host)
        return members

    def _last(self, metric: str) -> dict[str, float]:
        found = self._metrics.query(metric, since="1d", show="last")
        return {one.labels["host"]: one.last for one in found if one.last is not None}

    def _hourly(self, metric: str, since: Any) -> dict[str, Series]:
        return {one.labels["host"]: one for one in self._metrics.query(metric, since=since, step=HOUR)}

    def _sizes(self, since: Any) -> Iterator[Recommendation]:
        for metric, size_metric, judge in (
            ("novacron_vm_cpu_seconds_total", "novacron_vm_vcpus", _fewer_vcpus),
            ("novacron_vm_memory_used_bytes", "novacron_vm_memory_bytes", _less_memory),
        ):
            sizes = {one.labels["vm"]: one.last for one in self._metrics.query(size_metric, since="1d", show="last")}
            show: Any = None if metric.endswith("_total") else "maximum"
            for one in self._metrics.query(metric, since=since, step=HOUR, show=show):
                size = sizes.get(one.labels["vm"])
                if size and len(one) >= WEEK_OF_HOURS:
                    yield from judge(one, size)

    def _imbalances(self, since: Any) -> Iterator[Recommendation]:
        hosts = self._host_uses(min(parse_duration(since), 86400.0))
        for group, members in self._groups().items():
            for resource in ("cpu", "memory"):
                shares = {
                    host: math.fsum(value for _, value in used.points) / len(used) / size
                    for host in members
                    for _, _, _, name, used, size in hosts.get(host, ())
                    if name == resource and len(used)
                }
                if len(shares) > 1 and max(shares.values()) - min(shares.values()) > SPREAD:
                    most, least = max(shares, key=lambda host: shares[host]), min(shares, key=lambda host: shares[host])
                    text = f"{most} uses {shares[most]:.0%} of its {resource} and {least} {shares[least]:.0%}"
                    todo = f"see which migrations would help: novacron fleet balance {group}"
                    yield Recommendation(kind="imbalance", subject=group, text=text, action=todo)

    def _unused_volumes(self) -> Iterator[Recommendation]:
        for volume in self._orphans():
            size = volume.allocated_bytes if volume.allocated_bytes is not None else volume.capacity_bytes
            yield Recommendation(
                kind="orphan",
                subject=f"{volume.pool}/{volume.name}",
                host=volume.host,
                text=f"no VM, snapshot or image uses {format_size(size)}",
                action=f"check what it is, then delete it: novacron volume delete {volume.pool} {volume.name}",
                saved_bytes=size,
            )


_HOURS = {"vcpu_hours": "vcpus", "memory_gib_hours": "memory_bytes", "storage_gib_hours": "storage_bytes"}


def added(some: Sequence[Series]) -> Series:
    """Return the sum of series, from the first hour that all of them have. A gap of one series is filled with its value before.

    Example:
        >>> added([Series(metric="a", labels={}, points=((0, 1.0), (3600, 2.0))), Series(metric="a", labels={}, points=((0, 5.0),))]).points
        ((0, 6.0), (3600, 7.0))
    """
    start = max(one.points[0][0] for one in some) if all(one.points for one in some) else math.inf
    times = sorted({at for one in some for at, _ in one.points if at >= start})
    values = [dict(one.points) for one in some]
    last = [next((value for at, value in reversed(one.points) if at <= start), 0.0) for one in some]
    points = []
    for at in times:
        last = [known.get(at, before) for known, before in zip(values, last, strict=True)]
        points.append((at, math.fsum(last)))
    return Series(metric=some[0].metric, labels={}, points=tuple(points), unit=some[0].unit)


def _capacity(scope: str, name: str, host: str, resource: str, used: Series, size: float, made: Forecast) -> CapacityForecast:
    return CapacityForecast(
        scope=scope,
        name=name,
        host=host,
        resource=resource,
        size=size,
        used=used.last or 0.0,
        full_p50=made.full_at,
        full_p95=made.full_earliest,
        method=made.method,
        error=made.error,
        problem=made.problem,
        history=used.points,
        points=made.points,
    )


def _fewer_vcpus(busy: Series, vcpus: float) -> Iterator[Recommendation]:
    most = max(value for _, value in busy.points)
    wanted = max(1, math.ceil(most * ROOM))
    if most < BUSY * vcpus and wanted < vcpus:
        yield Recommendation(
            kind="resize",
            subject=busy.labels["name"],
            text=f"it has {vcpus:g} vCPUs and never used more than {most:.2f} in an hour",
            action=f"novacron vm update {busy.labels['name']} --vcpus {wanted}",
            saved_vcpus=int(vcpus) - wanted,
        )


def _less_memory(used: Series, size: float) -> Iterator[Recommendation]:
    most = max(value for _, value in used.points)
    wanted = math.ceil(most * ROOM / (GIB // 4)) * (GIB // 4)
    if most < USED * size and wanted < size:
        yield Recommendation(
            kind="resize",
            subject=used.labels["name"],
            text=f"it has {format_size(int(size))} of memory and never used more than {format_size(int(most))}",
            action=f"novacron vm update {used.labels['name']} --memory {wanted // 2**20}MiB",
            saved_memory_bytes=int(size) - wanted,
        )


__all__ = ["CapacityPlanning", "added"]
