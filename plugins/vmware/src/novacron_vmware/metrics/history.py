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
from datetime import datetime
from typing import Any, NamedTuple

from novacron.records.metrics import VMUsage
from novacron_vmware.metrics.counters import Series

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


def usages(times: list[datetime], series: Series, size: Size, since: datetime, about: dict[str, Any]) -> Iterator[VMUsage]:
    """Yield what samples say, the oldest first, of those that ended after `since`. vSphere says -1 where it has none."""
    for number in sorted(range(len(times)), key=times.__getitem__):
        if times[number] <= since:
            continue
        values = {
            name: samples[number] for (name, _), samples in series.items() if number < len(samples) and samples[number] >= 0
        }
        told: dict[str, Any] = {
            field: next((tell(values[name], size) for name, tell in counters.items() if name in values), None)
            for field, counters in FIELDS.items()
        }
        yield VMUsage(at=times[number].isoformat(), **about, **told)


__all__ = ["FIELDS", "REAL_TIME", "Size", "usages"]
