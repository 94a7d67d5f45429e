"""Measurements from vSphere's performance manager: samples of 20 seconds, read for many VMs in one call.

vSphere keeps rates, NovaCron counters that grow. So the connection adds up: a VM's counters begin with its first measurement here, which
has its newest sample in it, and each later measurement adds all samples since. They begin anew when the VM was started again.

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
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
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


@dataclass
class Counted:
    """What was added up of a VM since `boot`."""

    boot: Any = None
    last: datetime | None = None
    cpu: float = 0.0
    active: float | None = None
    disks: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0] * len(DISK)))
    nics: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0] * len(NIC)))


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


def add_samples(counted: Counted, times: Iterable[datetime], series: Series, vcpus: int) -> None:
    """Add samples to a VM's counters. The samples of all series are of the same times; vSphere says -1 where it has none."""
    new = [n for n, at in enumerate(times) if counted.last is None or at > counted.last]
    counted.last = max([*(times := list(times)), *([counted.last] if counted.last else [])])

    def samples(name: str, device: str) -> Iterator[float]:
        values = series.get((name, device), [])
        return (max(0.0, values[n]) if n < len(values) else 0.0 for n in new)

    counted.cpu += sum(value / 10_000 * vcpus * INTERVAL for value in samples(WHOLE[0], ""))
    active = series.get((WHOLE[1], ""), [])
    counted.active = active[max(range(len(times)), key=times.__getitem__)] if len(active) == len(times) else counted.active
    for device in {device for name, device in series if name in DISK}:
        sums = counted.disks[_disk_name(device)]
        for kilobytes, requests, latency, offset in ((DISK[0], DISK[2], DISK[4], 0), (DISK[1], DISK[3], DISK[5], 1)):
            sums[offset] += sum(samples(kilobytes, device)) * 1024 * INTERVAL
            sums[offset + 2] += sum(samples(requests, device)) * INTERVAL
            took = zip(samples(latency, device), samples(requests, device), strict=True)
            sums[offset + 4] += sum(milliseconds / 1000 * count * INTERVAL for milliseconds, count in took)
    for device in {device for name, device in series if name in NIC and device}:
        sums = counted.nics[device]
        for number, name in enumerate(NIC):
            sums[number] += sum(samples(name, device)) * (1024 * INTERVAL if number < 2 else 1)


def _disk_name(instance: str) -> str:
    """Return a disk's name from vSphere's "scsi0:3".

    Example:
        >>> _disk_name("scsi0:8"), _disk_name("ide1:0"), _disk_name("*")
        ('sdh', 'hdc', '*')
    """
    found = re.fullmatch(r"(scsi|ide|sata|nvme)(\d+):(\d+)", instance)
    return target_of(found[1], int(found[2]), int(found[3])) if found else instance


__all__ = ["ALL", "BATCH", "DISK", "INTERVAL", "NIC", "WHOLE", "Counted", "Series", "add_samples", "counter_ids", "sampled"]
