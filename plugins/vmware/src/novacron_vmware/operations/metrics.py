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
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from novacron.errors import VMNotFoundError
from novacron.plugins import hookimpl
from novacron.records.metrics import DiskMetrics, HostMetrics, NICMetrics, VMMetrics
from novacron_vmware.area import Area
from novacron_vmware.devices import target_of
from novacron_vmware.errors import translated
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

INTERVAL = 20
"""Seconds of a real-time sample."""
BATCH = 250
"""VMs in one call."""
WHOLE = ("cpu.usage.average", "mem.active.average")
DISK = (
    "virtualDisk.read.average", "virtualDisk.write.average", "virtualDisk.numberReadAveraged.average",
    "virtualDisk.numberWriteAveraged.average", "virtualDisk.totalReadLatency.average", "virtualDisk.totalWriteLatency.average",
)  # fmt: skip
NIC = (
    "net.bytesRx.average", "net.bytesTx.average", "net.packetsRx.summation", "net.packetsTx.summation", "net.droppedRx.summation",
    "net.droppedTx.summation",
)  # fmt: skip
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


class VMwareMetrics(Area):
    """Measures VMs and nodes."""

    def __init__(self, connection: VMwareConnection) -> None:
        super().__init__(connection)
        self._guard = threading.Lock()
        self._counted: defaultdict[Any, Counted] = defaultdict(Counted)
        self._ids: dict[str, int] = {}

    @hookimpl
    def metrics_vm(self, vm: str) -> VMMetrics:
        """Measure one."""
        thing = self._find(vm)
        measured = self._measure([thing])
        if not measured:
            raise VMNotFoundError(f"{vm!r} was deleted meanwhile", resource=vm)
        return measured[0]

    @hookimpl
    def metrics_vms(self) -> list[VMMetrics]:
        """Measure all that run, in a call for a few hundred of them."""
        running = [thing for thing, read in self._connection.inventory.vms() if read.get("runtime.powerState") == "poweredOn"]
        return sorted(self._measure(running), key=lambda each: each.vm)

    @hookimpl
    def metrics_host(self) -> HostMetrics:
        """Add up the nodes. The CPU seconds are those since this connection's first measurement."""
        paths = [
            "summary.hardware.numCpuThreads", "summary.hardware.memorySize", "summary.hardware.cpuMhz",
            "summary.quickStats.overallCpuUsage", "summary.quickStats.overallMemoryUsage",
        ]  # fmt: skip
        cpus, memory, used, busy = 0, 0, 0, 0.0
        for _, read in self._connection.collect(vim.HostSystem, paths):
            cpus += int(read.get("summary.hardware.numCpuThreads") or 0)
            memory += int(read.get("summary.hardware.memorySize") or 0)
            used += int(read.get("summary.quickStats.overallMemoryUsage") or 0) * 2**20
            busy += int(read.get("summary.quickStats.overallCpuUsage") or 0) / int(read.get("summary.hardware.cpuMhz") or 1)
        now = datetime.now(UTC)
        with self._guard:
            whole = self._counted[None]
            whole.cpu += busy * ((now - whole.last).total_seconds() if whole.last else 0)
            whole.last = now
            return HostMetrics(
                host=self._connection.name, at=now.isoformat(), cpu_seconds=whole.cpu, cpus=cpus, memory_bytes=memory,
                memory_free_bytes=max(0, memory - used),
            )  # fmt: skip

    def _measure(self, things: Sequence[Any]) -> list[VMMetrics]:
        """Measure these VMs now: one call for what they are, and one for each batch of samples."""
        paths = [
            "config.instanceUuid",
            "config.hardware.numCPU",
            "config.hardware.memoryMB",
            "summary.runtime.bootTime",
            "runtime.powerState",
        ]
        known = (
            {thing: read for thing, read in self._connection.read_all(list(things), vim.VirtualMachine, paths) if read}
            if things
            else {}
        )
        with self._guard:
            for thing, read in known.items():
                if self._counted[thing].boot != read.get("summary.runtime.bootTime"):
                    self._counted[thing] = Counted(boot=read.get("summary.runtime.bootTime"))
            running = [thing for thing, read in known.items() if read.get("runtime.powerState") == "poweredOn"]
            for start in range(0, len(running), BATCH):
                self._take_in(running[start : start + BATCH], known)
            return [self._record(thing, read) for thing, read in known.items()]

    def _take_in(self, things: Sequence[Any], known: dict[Any, dict[str, Any]]) -> None:
        """Ask for the samples that are new and add them up."""
        manager, ids = self._connection.content.perfManager, self._counters()
        Metric = vim.PerformanceManager.MetricId
        wanted = [
            Metric(counterId=ids[name], instance="" if name in WHOLE else ALL) for name in (*WHOLE, *DISK, *NIC) if name in ids
        ]
        specs = []
        for thing in things:
            last = self._counted[thing].last
            spec = vim.PerformanceManager.QuerySpec(entity=thing, metricId=wanted, intervalId=INTERVAL, format="csv")
            if last is None:
                spec.maxSample = 1
            else:
                spec.startTime = last + timedelta(milliseconds=1)
            specs.append(spec)
        with translated():
            answers = manager.QueryPerf(specs)
        for answer in answers:
            times, series = sampled(answer, ids)
            if times:
                _add(self._counted[answer.entity], times, series, int(known[answer.entity].get("config.hardware.numCPU", 1)))

    def _counters(self) -> dict[str, int]:
        """Return vSphere's numbers of the counters, by name; they are read once."""
        self._ids = self._ids or counter_ids(self._connection)
        return {name: self._ids[name] for name in (*WHOLE, *DISK, *NIC) if name in self._ids}

    def _record(self, thing: Any, read: dict[str, Any]) -> VMMetrics:
        counted, running = self._counted[thing], read.get("runtime.powerState") == "poweredOn"
        disks = tuple(
            DiskMetrics(
                target=target, read_bytes=int(sums[0]), written_bytes=int(sums[1]), reads=int(sums[2]), writes=int(sums[3]),
                read_seconds=sums[4], write_seconds=sums[5],
            )
            for target, sums in sorted(counted.disks.items())
        )  # fmt: skip
        nics = tuple(
            NICMetrics(
                name=name, received_bytes=int(sums[0]), sent_bytes=int(sums[1]), received_packets=int(sums[2]), sent_packets=int(sums[3]),
                dropped=int(sums[4] + sums[5]),
            )
            for name, sums in sorted(counted.nics.items())
        )  # fmt: skip
        return VMMetrics.of(
            vm=read.get("config.instanceUuid", ""), host=self._connection.name, at=datetime.now(UTC).isoformat(), cpu_seconds=counted.cpu,
            vcpus=int(read.get("config.hardware.numCPU", 0)), memory_bytes=int(read.get("config.hardware.memoryMB", 0)) * 2**20,
            memory_used_bytes=int(counted.active * 1024) if running and counted.active is not None else None, disks=disks, nics=nics,
        )  # fmt: skip


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


def _add(counted: Counted, times: Iterable[datetime], series: Series, vcpus: int) -> None:
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


__all__ = ["BATCH", "INTERVAL", "Series", "VMwareMetrics", "counter_ids", "sampled"]
