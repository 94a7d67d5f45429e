"""Measurements from libvirt's bulk statistics."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from novacron.errors import BusyError
from novacron.plugins import hookimpl
from novacron.records.metrics import DiskMetrics, HostMetrics, NICMetrics, VMMetrics
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.inventory.clock import HostClock
from novacron_kvm.inventory.statistics import answered, statistics_of, statistics_of_all


class KVMMetrics:
    """Measures VMs and the host."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection
        self._clock = HostClock(connection.uri)

    @hookimpl
    def metrics_vm(self, vm: str) -> VMMetrics:
        """Measure one VM."""
        with translated(resource=vm):
            domain, values = statistics_of(self._connection, vm)
            if not answered(self._connection, domain, values):
                raise BusyError(
                    f"{domain.name()!r} can't be measured: something holds it, or its process hangs", resource=domain.name()
                )
        return vm_metrics(self._connection.name, domain, values, _now())

    @hookimpl
    def metrics_vms(self) -> list[VMMetrics]:
        """Measure all running VMs in one call; those that do not answer now are left out."""
        import libvirt

        with translated():
            stats = statistics_of_all(self._connection, 0, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE)
            stats = [(domain, values) for domain, values in stats if answered(self._connection, domain, values)]
        at = _now()
        measured = (vm_metrics(self._connection.name, domain, values, at) for domain, values in stats)
        return sorted(measured, key=lambda m: m.vm)

    @hookimpl
    def metrics_host(self) -> HostMetrics:
        """Measure the host."""
        with translated():
            info = self._connection.read.getInfo()
            cpu = self._connection.read.getCPUStats(-1, 0)
            free = self._connection.read.getFreeMemory()
        busy = sum(value for name, value in cpu.items() if name in ("kernel", "user", "iowait"))
        return HostMetrics(
            host=self._connection.name,
            at=_now(),
            cpu_seconds=busy / 1e9,
            cpus=info[2],
            memory_bytes=info[1] * 2**20,
            memory_free_bytes=free,
            clock=self._clock.now(),
        )


def vm_metrics(host: str, domain: Any, values: dict[str, Any], at: str) -> VMMetrics:
    """Return the record of one VM's values from libvirt's bulk statistics."""
    get = values.get
    disks = tuple(
        DiskMetrics(
            target=values[f"{d}.name"],
            read_bytes=get(f"{d}.rd.bytes", 0),
            written_bytes=get(f"{d}.wr.bytes", 0),
            reads=get(f"{d}.rd.reqs", 0),
            writes=get(f"{d}.wr.reqs", 0),
            read_seconds=get(f"{d}.rd.times", 0) / 1e9,
            write_seconds=get(f"{d}.wr.times", 0) / 1e9,
        )
        for d in map("block.{}".format, range(get("block.count", 0)))
    )
    nics = tuple(
        NICMetrics(
            name=get(f"{n}.name", ""),
            received_bytes=get(f"{n}.rx.bytes", 0),
            sent_bytes=get(f"{n}.tx.bytes", 0),
            received_packets=get(f"{n}.rx.pkts", 0),
            sent_packets=get(f"{n}.tx.pkts", 0),
            dropped=get(f"{n}.rx.drop", 0) + get(f"{n}.tx.drop", 0),
        )
        for n in map("net.{}".format, range(get("net.count", 0)))
    )
    unused, available = _kib(get("balloon.unused")), _kib(get("balloon.available"))
    return VMMetrics.of(
        vm=domain.UUIDString(),
        host=host,
        at=at,
        cpu_seconds=get("cpu.time", 0) / 1e9,
        vcpus=get("vcpu.current", 0),
        memory_bytes=get("balloon.current", 0) * 1024,
        memory_guest_bytes=available,
        memory_used_bytes=None if available is None or unused is None else max(0, available - unused),
        memory_usable_bytes=_kib(get("balloon.usable")),
        memory_resident_bytes=_kib(get("balloon.rss")),
        memory_maximum_bytes=_kib(get("balloon.maximum")),
        cpu_ready_seconds=_ready_seconds(values),
        swapped_in_bytes=_kib(get("balloon.swap_in")),
        swapped_out_bytes=_kib(get("balloon.swap_out")),
        disks=disks,
        nics=nics,
    )


def _ready_seconds(values: dict[str, Any]) -> float | None:
    """Return how long all vCPUs waited for a CPU of the host; None if the kernel does not count it."""
    delays = [values.get(f"vcpu.{number}.delay") for number in range(values.get("vcpu.maximum", 0))]
    found = [delay for delay in delays if delay is not None]
    return sum(found) / 1e9 if found else None


def _kib(value: int | None) -> int | None:
    return None if value is None else value * 1024


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")


__all__ = ["KVMMetrics", "vm_metrics"]
