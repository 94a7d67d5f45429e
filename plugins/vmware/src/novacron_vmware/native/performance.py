"""Performance: the counters of any object, the intervals that are kept, and samples."""

from __future__ import annotations

from typing import Any

from novacron.errors import InvalidSpecError, SpecProblem
from novacron_vmware.errors import translated
from novacron_vmware.metrics.counters import counter_ids, sampled
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import MetricCounter, MetricInterval, MetricSample
from novacron_vmware.sdk import vim

Manager = vim.PerformanceManager
HISTORICAL = 300
"""Seconds of the shortest historical interval, for objects without samples in real time, such as datastores and clusters."""


class VSpherePerformance(NativeOperations):
    """All counters of vSphere, not only those that the contract's metrics have."""

    @vsphere.operation(kind="read")
    def metric_list(self, object: str, seconds: int = 0) -> list[MetricCounter]:
        """List the counters that an object has samples of.

        Args:
            object: a VM, node, cluster, datastore, pool or datacenter, by name, inventory path or id.
            seconds: length of the interval; by default the shortest that the object has.
        """
        thing = self._any(object)
        period = self._period(thing, seconds)
        manager = self._connection.content.perfManager
        with translated(object):
            available = manager.QueryAvailablePerfMetric(entity=thing, intervalId=period)
        instances: dict[int, set[str]] = {}
        for each in available or ():
            instances.setdefault(each.counterId, set()).add(each.instance or "")
        found = self._connection.read(manager, ["perfCounter"]).get("perfCounter") or ()
        counters = [
            MetricCounter(
                name=_name(info),
                unit=str(info.unitInfo.key),
                description=str(info.nameInfo.summary or info.nameInfo.label or ""),
                level=int(info.level or 0),
                instances=tuple(sorted(instances[info.key] - {""})),
                key=info.key,
            )
            for info in found
            if info.key in instances
        ]
        return sorted(counters, key=lambda each: each.name)

    @vsphere.operation(kind="read")
    def metric_intervals(self) -> list[MetricInterval]:
        """List the historical intervals: how often a sample is kept, and for how long."""
        kept = self._connection.read(self._connection.content.perfManager, ["historicalInterval"]).get("historicalInterval") or ()
        records = [
            MetricInterval(
                name=str(each.name),
                seconds=int(each.samplingPeriod),
                kept_seconds=int(each.length),
                level=int(each.level or 0),
                enabled=bool(each.enabled),
            )
            for each in kept
        ]
        return sorted(records, key=lambda each: each.seconds)

    @vsphere.operation(kind="read")
    def metric_sample(
        self, object: str, names: tuple[str, ...], seconds: int = 0, most: int = 1, instances: bool = False
    ) -> list[MetricSample]:
        """Read the newest samples of counters, the oldest of them first.

        Args:
            object: a VM, node, cluster, datastore, pool or datacenter, by name, inventory path or id.
            names: counters, such as cpu.usage.average; one or more.
            seconds: length of the interval; by default the shortest that the object has.
            most: how many samples at most.
            instances: also read those of single devices.
        """
        if most < 1:
            raise InvalidSpecError("no samples", problems=[SpecProblem("most", str(most), "1 or more")])
        thing = self._any(object)
        ids = counter_ids(self._connection)
        if unknown := [name for name in names if name not in ids]:
            problem = SpecProblem("names", unknown[0], "a counter, such as cpu.usage.average")
            raise InvalidSpecError("no such counter", resource=object, problems=[problem], hint="list the metrics of the object")
        period = self._period(thing, seconds)
        asked = Manager.QuerySpec(
            entity=thing,
            metricId=[Manager.MetricId(counterId=ids[name], instance="*" if instances else "") for name in names],
            intervalId=period,
            maxSample=most,
            format="csv",
        )
        manager = self._connection.content.perfManager
        with translated(object):
            answers = manager.QueryPerf([asked])
            units = {_name(info): str(info.unitInfo.key) for info in manager.QueryPerfCounter([ids[name] for name in names])}
        samples = []
        for answer in answers or ():
            times, series = sampled(answer, ids)
            for (name, instance), values in series.items():
                for at, value in list(zip(times, values, strict=False))[-most:]:
                    samples.append(
                        MetricSample(at=at.isoformat(), name=name, instance=instance, value=value, unit=units.get(name, ""))
                    )
        return sorted(samples, key=lambda each: (each.at, each.name, each.instance))

    def _period(self, thing: Any, seconds: int) -> int:
        if seconds:
            return seconds
        with translated():
            about = self._connection.content.perfManager.QueryPerfProviderSummary(thing)
        return int(about.refreshRate) if about.currentSupported and about.refreshRate else HISTORICAL


def _name(info: Any) -> str:
    return f"{info.groupInfo.key}.{info.nameInfo.key}.{info.rollupType}"


__all__ = ["VSpherePerformance"]
