"""What VMs used before: the samples of 20 seconds of the last hour, and vSphere's historical intervals before that.

| NovaCron | vSphere's counter (rollup, unit) |
|---|---|
| cpus | cpu.usage (average, 1/100 %) of all vCPUs |
| memory_used_bytes | mem.active (average, KB), else mem.usage (average, 1/100 %) of its memory |
| disk bytes | disk.read, .write (average, KB/s) |
| net bytes | net.received, .transmitted (average, KB/s), else net.bytesRx, .bytesTx |

Which of them a vCenter keeps in its historical intervals depends on their statistics level: with level 1, its default, the first and
mem.usage.
Source: vSphere Web Services API, "PerformanceManager" and "Performance Counters".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from novacron.plugins import hookimpl
from novacron.records.metrics import VMUsage
from novacron_vmware.area import Area
from novacron_vmware.errors import translated
from novacron_vmware.operations.metrics import INTERVAL, Series, counter_ids, sampled
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

REAL_TIME = 3600
"""Seconds for which an ESXi keeps its samples."""


class Size(NamedTuple):
    """What a share is of."""

    vcpus: int
    memory_bytes: int


FIELDS: dict[str, dict[str, Any]] = {
    "cpus": {"cpu.usage.average": lambda value, size: value / 10_000 * size.vcpus},
    "memory_used_bytes": {
        "mem.active.average": lambda value, size: int(value * 1024),
        "mem.usage.average": lambda value, size: int(value / 10_000 * size.memory_bytes),
    },
    "disk_read_bytes": {"disk.read.average": lambda value, size: value * 1024},
    "disk_written_bytes": {"disk.write.average": lambda value, size: value * 1024},
    "net_received_bytes": dict.fromkeys(("net.received.average", "net.bytesRx.average"), lambda value, size: value * 1024),
    "net_sent_bytes": dict.fromkeys(("net.transmitted.average", "net.bytesTx.average"), lambda value, size: value * 1024),
}
"""A record's fields, the counters that tell them, the best first, and how."""


class VMwareHistory(Area):
    """Reads what was kept."""

    def __init__(self, connection: VMwareConnection) -> None:
        super().__init__(connection)
        self._ids: dict[str, int] = {}

    @hookimpl
    def metrics_history(self, vm: str, seconds: float) -> list[VMUsage]:
        """Read the samples of the shortest interval that is kept so long."""
        thing, manager = self._find(vm), self._connection.content.perfManager
        read = self._connection.read(thing, ["config.instanceUuid", "config.hardware.numCPU", "config.hardware.memoryMB"])
        size = Size(int(read.get("config.hardware.numCPU", 0)), int(read.get("config.hardware.memoryMB", 0)) * 2**20)
        self._ids = self._ids or counter_ids(self._connection)
        ids = {name: self._ids[name] for counters in FIELDS.values() for name in counters if name in self._ids}
        interval, since = self._interval(seconds), datetime.now(UTC) - timedelta(seconds=seconds)
        Manager = vim.PerformanceManager
        asked = Manager.QuerySpec(
            entity=thing, metricId=[Manager.MetricId(counterId=number, instance="") for number in ids.values()], intervalId=interval,
            startTime=since, format="csv",
        )  # fmt: skip
        with translated(vm):
            answers = manager.QueryPerf([asked])
        about = {"vm": read.get("config.instanceUuid", ""), "host": self._connection.name, "seconds": float(interval)}
        return [usage for answer in answers for usage in usages(*sampled(answer, ids), size, since, about)]

    def _interval(self, seconds: float) -> int:
        if seconds <= REAL_TIME:
            return INTERVAL
        kept = self._connection.read(self._connection.content.perfManager, ["historicalInterval"]).get("historicalInterval") or ()
        able = sorted((each.length, each.samplingPeriod) for each in kept if each.enabled)
        return next((period for length, period in able if length >= seconds), able[-1][1] if able else INTERVAL)


def usages(times: list[datetime], series: Series, size: Size, since: datetime, about: dict[str, Any]) -> Iterator[VMUsage]:
    """Yield what samples say, the oldest first, of those that ended after `since`. vSphere says -1 where it has none."""
    for number in sorted(range(len(times)), key=times.__getitem__):
        if times[number] <= since:
            continue
        values = {
            name: samples[number] for (name, _), samples in series.items() if number < len(samples) and samples[number] >= 0
        }  # fmt: skip
        told: dict[str, Any] = {
            field: next((tell(values[name], size) for name, tell in counters.items() if name in values), None)
            for field, counters in FIELDS.items()
        }
        yield VMUsage(at=times[number].isoformat(), **about, **told)


__all__ = ["VMwareHistory", "usages"]
