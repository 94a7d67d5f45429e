"""Measurements of VMs and nodes, and their history. See `novacron_vmware.metrics` for the counters that are read."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from novacron.errors import VMNotFoundError
from novacron.plugins import hookimpl
from novacron.records.metrics import DiskMetrics, HostMetrics, NICMetrics, VMMetrics, VMUsage
from novacron_vmware.errors import translated
from novacron_vmware.metrics.counters import ALL, BATCH, DISK, INTERVAL, NIC, WHOLE, Counted, add_samples, counter_ids, sampled
from novacron_vmware.metrics.history import FIELDS, REAL_TIME, Size, usages
from novacron_vmware.sdk import vim, vmodl
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection


class VMwareMetrics(VMOperations):
    """Measures VMs and nodes."""

    def __init__(self, connection: VMwareConnection) -> None:
        super().__init__(connection)
        self._guard = threading.Lock()
        self._counted: defaultdict[Any, Counted] = defaultdict(Counted)
        self._ids: dict[str, int] = {}

    @hookimpl
    def metrics_vm(self, vm: str) -> VMMetrics:
        """Measure one."""
        thing, read = self._connection.inventory.find_known(vm)
        if not (measured := self._measure({thing: read})):
            raise VMNotFoundError(f"{vm!r} was deleted meanwhile", resource=vm)
        return measured[0]

    @hookimpl
    def metrics_vms(self) -> list[VMMetrics]:
        """Measure all that run: one call for what has changed since the last time, and one for each few hundred of them."""
        return sorted(self._measure(dict(self._connection.inventory.running())), key=lambda each: each.vm)

    @hookimpl
    def metrics_host(self) -> HostMetrics:
        """Add up the nodes. The CPU seconds are those since this connection's first measurement."""
        paths = [
            "summary.hardware.numCpuThreads",
            "summary.hardware.memorySize",
            "summary.hardware.cpuMhz",
            "summary.quickStats.overallCpuUsage",
            "summary.quickStats.overallMemoryUsage",
        ]
        cpus, memory, used, busy = 0, 0, 0, 0.0
        for _, read in self._connection.collect(vim.HostSystem, paths):
            cpus += int(read.get("summary.hardware.numCpuThreads") or 0)
            memory += int(read.get("summary.hardware.memorySize") or 0)
            used += int(read.get("summary.quickStats.overallMemoryUsage") or 0) * 2**20
            busy += int(read.get("summary.quickStats.overallCpuUsage") or 0) / int(read.get("summary.hardware.cpuMhz") or 1)
        with translated():
            clock = vim.ServiceInstance("ServiceInstance", self._connection.session).CurrentTime().timestamp()
        now = datetime.now(UTC)
        with self._guard:
            whole = self._counted[None]
            whole.cpu += busy * ((now - whole.last).total_seconds() if whole.last else 0)
            whole.last = now
            return HostMetrics(
                host=self._connection.name,
                at=now.isoformat(),
                cpu_seconds=whole.cpu,
                cpus=cpus,
                memory_bytes=memory,
                memory_free_bytes=max(0, memory - used),
                clock=clock,
            )

    def _measure(self, known: dict[Any, dict[str, Any]]) -> list[VMMetrics]:
        """Measure these VMs now, of which a listing's properties are known: one call for each batch of samples."""
        with self._guard:
            for thing, read in known.items():
                if self._counted[thing].boot != read.get("summary.runtime.bootTime"):
                    self._counted[thing] = Counted(boot=read.get("summary.runtime.bootTime"))
            running = [thing for thing, read in known.items() if _runs(read)]
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
        answers, gone = queried(manager, specs)
        for thing in gone:
            del known[thing]
        for answer in answers:
            times, series = sampled(answer, ids)
            if times:
                vcpus = int(known[answer.entity].get("config.hardware.numCPU", 1))
                add_samples(self._counted[answer.entity], times, series, vcpus, time.monotonic())

    def _counters(self, names: Iterable[str] = (*WHOLE, *DISK, *NIC)) -> dict[str, int]:
        """Return vSphere's numbers of these counters, by name; all are read once."""
        self._ids = self._ids or counter_ids(self._connection)
        return {name: self._ids[name] for name in names if name in self._ids}

    def _record(self, thing: Any, read: dict[str, Any]) -> VMMetrics:
        running = _runs(read)
        at, counted = self._counted[thing].at(time.monotonic())
        at = at if running and at is not None else datetime.now(UTC)
        disks = tuple(
            DiskMetrics(
                target=target,
                read_bytes=int(sums[0]),
                written_bytes=int(sums[1]),
                reads=int(sums[2]),
                writes=int(sums[3]),
                read_seconds=sums[4],
                write_seconds=sums[5],
            )
            for target, sums in sorted(counted.disks.items())
        )
        nics = tuple(
            NICMetrics(
                name=name,
                received_bytes=int(sums[0]),
                sent_bytes=int(sums[1]),
                received_packets=int(sums[2]),
                sent_packets=int(sums[3]),
                dropped=int(sums[4] + sums[5]),
            )
            for name, sums in sorted(counted.nics.items())
        )
        return VMMetrics.of(
            vm=read.get("config.instanceUuid", ""),
            host=self._connection.name,
            at=at.isoformat(),
            cpu_seconds=counted.cpu,
            vcpus=int(read.get("config.hardware.numCPU", 0)),
            memory_bytes=int(read.get("config.hardware.memoryMB", 0)) * 2**20,
            memory_used_bytes=int(counted.active * 1024) if running and counted.active is not None else None,
            disks=disks,
            nics=nics,
        )

    @hookimpl
    def metrics_history(self, vm: str, seconds: float) -> list[VMUsage]:
        """Read the samples of the shortest interval that is kept so long."""
        thing, manager = self._find(vm), self._connection.content.perfManager
        read = self._connection.read(thing, ["config.instanceUuid", "config.hardware.numCPU", "config.hardware.memoryMB"])
        size = Size(int(read.get("config.hardware.numCPU", 0)), int(read.get("config.hardware.memoryMB", 0)) * 2**20)
        ids = {name: number for counters in FIELDS.values() for name, number in self._counters(counters).items()}
        interval, since = self._interval(seconds), datetime.now(UTC) - timedelta(seconds=seconds)
        Manager = vim.PerformanceManager
        asked = Manager.QuerySpec(
            entity=thing,
            metricId=[
                Manager.MetricId(counterId=number, instance=ALL if name in (*DISK, *NIC) else "") for name, number in ids.items()
            ],
            intervalId=interval,
            startTime=since,
            format="csv",
        )
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


def queried(manager: Any, specs: list[Any]) -> tuple[list[Any], list[Any]]:
    """Ask for samples; return them, and the objects that are gone: with one of those vSphere answers for none."""
    gone = list[Any]()
    with translated():
        while specs:
            try:
                return manager.QueryPerf(specs), gone
            except vmodl.fault.ManagedObjectNotFound as fault:
                left = [spec for spec in specs if spec.entity != fault.obj]
                if len(left) == len(specs):
                    raise
                gone, specs = [*gone, fault.obj], left
    return [], gone


def _runs(read: dict[str, Any]) -> bool:
    return bool(read.get("runtime.powerState") == "poweredOn")


__all__ = ["VMwareMetrics", "queried"]
