"""Metrics: counters that increase with the running time of a VM, at a rate specific to the VM."""

from __future__ import annotations

import math
import time
import zlib
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.broadcast import now
from novacron.drivers.sim.state.machine import Load
from novacron.records.metrics import DiskMetrics, HostMetrics, NICMetrics, VMMetrics, VMUsage

MOST = 100
"""Intervals that a history has."""
KEPT = ("disk_read_bytes", "disk_written_bytes", "net_received_bytes", "net_sent_bytes")


class SimMetrics(Area):
    """Measures VMs and the host."""

    @simulated
    def metrics_vm(self, vm: str) -> VMMetrics:
        """Measure one VM."""
        with self.world.lock:
            return self._measured(self.look(vm).load(), now())

    @simulated
    def metrics_vms(self) -> list[VMMetrics]:
        """Measure all running VMs."""
        with self.world.lock:
            at = now()
            return sorted((self._measured(vm, at) for vm in self.world.loads() if vm.status == "running"), key=attrgetter("vm"))

    @simulated
    def metrics_host(self) -> HostMetrics:
        """Measure the host."""
        with self.world.lock:
            at = now()
            active = list(self.world.loads())
            return HostMetrics(
                host=self.connection.name,
                at=at,
                cpus=self.world.cpus,
                memory_bytes=self.world.memory_bytes,
                cpu_seconds=sum(self._seconds(vm) * _share(vm) * vm.vcpus for vm in active),
                memory_free_bytes=max(0, self.world.memory_bytes - sum(vm.memory for vm in active)),
                clock=time.time() + self.world.clock_offset,
            )

    @simulated
    def metrics_history(self, vm: str, seconds: float) -> list[VMUsage]:
        """Return complete intervals since the start of the VM, at most about a hundred. All have the same values."""
        interval, until = max(1.0, math.ceil(seconds / MOST)), datetime.now(UTC)
        with self.world.lock:
            sim_vm = self.look(vm)
            measured = self._measured(sim_vm.load(), until.isoformat())
            ran = self._seconds(sim_vm.load())
            return [
                VMUsage(
                    vm=sim_vm.id,
                    host=self.connection.name,
                    at=(until - timedelta(seconds=ago * interval)).isoformat(),
                    seconds=interval,
                    cpus=measured.cpu_seconds / ran,
                    memory_used_bytes=measured.memory_used_bytes,
                    **{name: getattr(measured, name) / ran for name in KEPT},
                )
                for ago in reversed(range(int(min(ran, seconds) // interval)))
            ]

    def _seconds(self, vm: Load) -> float:
        return 0.0 if vm.started is None else time.monotonic() - max(vm.started, self.world.began)

    def _measured(self, vm: Load, at: str) -> VMMetrics:
        seconds = self._seconds(vm)
        share = _share(vm)
        bytes_ = int(seconds * share * 2**20)
        disks = tuple(
            DiskMetrics(
                target=target,
                read_bytes=bytes_,
                written_bytes=bytes_ // 2,
                reads=bytes_ // 4096,
                writes=bytes_ // 8192,
                read_seconds=bytes_ // 4096 * 2e-4,
                write_seconds=bytes_ // 8192 * 5e-4,
            )
            for target in vm.disks
        )
        nics = tuple(
            NICMetrics(
                name=mac,
                received_bytes=bytes_ // 4,
                sent_bytes=bytes_ // 8,
                received_packets=bytes_ // 4000,
                sent_packets=bytes_ // 8000,
            )
            for mac in vm.nics
        )
        return VMMetrics.of(
            vm=vm.id,
            host=self.connection.name,
            at=at,
            cpu_seconds=seconds * share * vm.vcpus,
            vcpus=vm.vcpus,
            memory_bytes=vm.memory,
            memory_used_bytes=int(vm.memory * share) if vm.active else 0,
            memory_maximum_bytes=vm.memory,
            cpu_ready_seconds=seconds * share * vm.vcpus / 1000,
            swapped_in_bytes=0,
            swapped_out_bytes=0,
            disks=disks,
            nics=nics,
        )


def _share(vm: Load) -> float:
    """Return which share of its CPUs a VM uses."""
    return zlib.crc32(vm.id.encode()) % 80 / 100 + 0.1


__all__ = ["SimMetrics"]
