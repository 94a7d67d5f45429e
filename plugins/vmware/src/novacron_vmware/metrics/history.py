"""What VMs used before: the samples of 20 seconds of the last hour, and vSphere's historical intervals before that.

| NovaCron | vSphere's counter (rollup, unit) |
|---|---|
| cpus | cpu.usage (average, 1/100 %) of all vCPUs |
| memory_used_bytes | mem.active (average, KB), else mem.usage (average, 1/100 %) of its memory |
| disk bytes | virtualDisk.read, .write (average, KB/s) of all disks, else disk.read, .write |
| net bytes | net.bytesRx, .bytesTx (average, KB/s) of all NICs, else net.received, .transmitted |

These are the counters of the measurements, where they are kept: a rate and the history agree.

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
    "disk_read_bytes": dict.fromkeys(("virtualDisk.read.average", "disk.read.average"), lambda value, size: value * 1024),
    "disk_written_bytes": dict.fromkeys(("virtualDisk.write.average", "disk.write.average"), lambda value, size: value * 1024),
    "net_received_bytes": dict.fromkeys(("net.bytesRx.average", "net.received.average"), lambda value, size: value * 1024),
    "net_sent_bytes": dict.fromkeys(("net.bytesTx.average", "net.transmitted.average"), lambda value, size: value * 1024),
}
"""A record's fields, the counters that tell them, the best first, and how."""


def usages(times: list[datetime], series: Series, size: Size, since: datetime, about: dict[str, Any]) -> Iterator[VMUsage]:
    """Yield what samples say, the oldest first, of those that ended after `since`. vSphere says -1 where it has none."""
    for number in sorted(range(len(times)), key=times.__getitem__):
        if times[number] <= since:
            continue
        values = _values(series, number)
        usage: dict[str, Any] = {
            field: next((tell(values[name], size) for name, tell in counters.items() if name in values), None)
            for field, counters in FIELDS.items()
        }
        yield VMUsage(at=times[number].isoformat(), **about, **usage)


def _values(series: Series, number: int) -> dict[str, float]:
    """Return each counter's value in a sample: that of the whole VM, or else the sum of its devices'."""
    whole, devices = dict[str, float](), dict[str, float]()
    for (name, device), samples in series.items():
        if number < len(samples) and samples[number] >= 0:
            if device:
                devices[name] = devices.get(name, 0.0) + samples[number]
            else:
                whole[name] = samples[number]
    return whole | devices


__all__ = ["FIELDS", "REAL_TIME", "Size", "usages"]
