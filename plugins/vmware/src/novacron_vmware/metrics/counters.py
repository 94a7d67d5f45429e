"""Measurements from vSphere's performance manager: samples of 20 seconds, read for many VMs in one call.

vSphere keeps average rates of intervals; NovaCron reports counters that grow. So the samples are added up, from the first measurement of a
VM on this connection. They begin again at 0 when the VM was started again.

A sample becomes known when its 20 seconds are over. Its amounts are spread over the 20 seconds after that: a measurement holds for a time
in the past (its `at`), up to 20 seconds ago, and the counters of that time are interpolated within the newest sample. So a rate between
two measurements is the rate that vSphere reports, whether they are one second or ten minutes apart.

| NovaCron | vSphere's counter (rollup, unit) | how |
|---|---|---|
| cpu_seconds | cpu.usage (average, 1/100 %) of all vCPUs | share × vCPUs × seconds |
| memory_used_bytes | mem.active (average, KB) | the newest sample |
| disk bytes | virtualDisk.read, .write (average, KB/s) of each disk | × seconds |
| disk requests | virtualDisk.numberReadAveraged, .numberWriteAveraged (average, 1/s) | × seconds |
| disk seconds | virtualDisk.totalReadLatency, .totalWriteLatency (average, ms) | × the sample's requests |
| NIC bytes | net.bytesRx, .bytesTx (average, KB/s) of each NIC | × seconds |
| NIC packets | net.packetsRx, .packetsTx, .droppedRx, .droppedTx (summation, number) | added |

A node's are those of its quick statistics. Source: vSphere Web Services API, "PerformanceManager" and "Performance Counters".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from novacron_vmware.devices import target_of

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

INTERVAL = 20
"""Seconds of a real-time sample."""
BATCH = 250
"""VMs in one call."""
WHOLE = ("cpu.usage.average", "mem.active.average")
DISK = (
    "virtualDisk.read.average",
    "virtualDisk.write.average",
    "virtualDisk.numberReadAveraged.average",
    "virtualDisk.numberWriteAveraged.average",
    "virtualDisk.totalReadLatency.average",
    "virtualDisk.totalWriteLatency.average",
)
NIC = (
    "net.bytesRx.average",
    "net.bytesTx.average",
    "net.packetsRx.summation",
    "net.packetsTx.summation",
    "net.droppedRx.summation",
    "net.droppedTx.summation",
)
ALL = "*"
"""Each device's own, in a query; in an answer: of all devices together."""
Series = dict[tuple[str, str], list[float]]
"""Samples by counter and device."""


SLOWER = 1.5
"""The newest sample is spread over its seconds times this: the next sample may be published late."""


@dataclass
class Counted:
    """The sums of a VM's samples since `boot`.

    Attributes:
        boot: when the VM was started.
        last: the end of the newest sample.
        seen: by the monotonic clock, when the newest sample was added.
        before: the sums without the newest sample; its `last` is where that sample begins.
    """

    boot: Any = None
    last: datetime | None = None
    seen: float = 0.0
    before: Counted | None = None
    cpu: float = 0.0
    active: float | None = None
    disks: dict[str, list[float]] = field(default_factory=dict)
    nics: dict[str, list[float]] = field(default_factory=dict)

    def at(self, clock: float) -> tuple[datetime | None, Counted]:
        """Return the time for which the counters hold at a reading of the monotonic clock, and the counters of that time."""
        if self.before is None or self.before.last is None or self.last is None:
            return self.last, self
        span = (self.last - self.before.last).total_seconds()
        share = min(1.0, max(0.0, clock - self.seen) / (span * SLOWER)) if span > 0 else 1.0
        return self.before.last + (self.last - self.before.last) * share, _between(self.before, self, share)


def _between(old: Counted, new: Counted, share: float) -> Counted:
    def blend(before: dict[str, list[float]], after: dict[str, list[float]]) -> dict[str, list[float]]:
        return {
            device: [was + (now - was) * share for was, now in zip(before.get(device, [0.0] * len(sums)), sums, strict=True)]
            for device, sums in after.items()
        }

    cpu = old.cpu + (new.cpu - old.cpu) * share
    return replace(new, cpu=cpu, disks=blend(old.disks, new.disks), nics=blend(old.nics, new.nics))


def counter_ids(connection: VMwareConnection) -> dict[str, int]:
    """Return vSphere's numbers of all counters, by "group.name.rollup"."""
    found = connection.read(connection.content.perfManager, ["perfCounter"]).get("perfCounter") or ()
    return {f"{c.groupInfo.key}.{c.nameInfo.key}.{c.rollupType}": c.key for c in found}


def sampled(answer: Any, ids: Mapping[str, int]) -> tuple[list[datetime], Series]:
    """Return the times at which an answer's samples end, and the samples."""
    names = {number: name for name, number in ids.items()}
    times = [datetime.fromisoformat(text) for text in (answer.sampleInfoCSV or "").split(",")[1::2] if text]
    return times, {
        (names.get(each.id.counterId, ""), each.id.instance or ""): [float(v) for v in (each.value or "").split(",") if v]
        for each in answer.value
    }


def add_samples(counted: Counted, times: Iterable[datetime], series: Series, vcpus: int, clock: float) -> None:
    """Add samples to a VM's counters, each once, the oldest first.

    Args:
        counted: the VM's counters.
        times: when each sample ends; the samples of all series are of the same times.
        series: the samples; vSphere writes -1 where it has none.
        vcpus: the VM's.
        clock: the monotonic clock's reading now.
    """
    for number, end in sorted(enumerate(times), key=lambda each: each[1]):
        if counted.last is not None and end <= counted.last:
            continue
        begin = max(counted.last or end - timedelta(seconds=INTERVAL), end - timedelta(seconds=INTERVAL))
        counted.before = replace(
            counted,
            last=begin,
            before=None,
            disks={device: list(sums) for device, sums in counted.disks.items()},
            nics={device: list(sums) for device, sums in counted.nics.items()},
        )
        counted.last, counted.seen = end, clock
        _add(
            counted,
            {key: values[number] for key, values in series.items() if number < len(values)},
            (end - begin).total_seconds(),
            vcpus,
        )


def _add(counted: Counted, sample: dict[tuple[str, str], float], seconds: float, vcpus: int) -> None:
    """Add one sample that covers so many seconds; sums of a whole interval are taken in proportion."""

    def value(name: str, device: str = "") -> float:
        return max(0.0, sample.get((name, device), 0.0))

    counted.cpu += value(WHOLE[0]) / 10_000 * vcpus * seconds
    counted.active = sample.get((WHOLE[1], ""), counted.active)
    for device in {device for name, device in sample if name in DISK}:
        sums = counted.disks.setdefault(_disk_name(device), [0.0] * len(DISK))
        for kilobytes, requests, latency, offset in ((DISK[0], DISK[2], DISK[4], 0), (DISK[1], DISK[3], DISK[5], 1)):
            sums[offset] += value(kilobytes, device) * 1024 * seconds
            sums[offset + 2] += value(requests, device) * seconds
            sums[offset + 4] += value(latency, device) / 1000 * value(requests, device) * seconds
    for device in {device for name, device in sample if name in NIC and device}:
        sums = counted.nics.setdefault(device, [0.0] * len(NIC))
        for number, name in enumerate(NIC):
            sums[number] += value(name, device) * (1024 * seconds if number < 2 else seconds / INTERVAL)


def _disk_name(instance: str) -> str:
    """Return a disk's name from vSphere's "scsi0:3".

    Example:
        >>> _disk_name("scsi0:8"), _disk_name("ide1:0"), _disk_name("*")
        ('sdh', 'hdc', '*')
    """
    found = re.fullmatch(r"(scsi|ide|sata|nvme)(\d+):(\d+)", instance)
    return target_of(found[1], int(found[2]), int(found[3])) if found else instance


__all__ = ["ALL", "BATCH", "DISK", "INTERVAL", "NIC", "WHOLE", "Counted", "Series", "add_samples", "counter_ids", "sampled"]
