"""Measurements from libvirt's bulk statistics."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from novacron.plugins import hookimpl
from novacron.records.metrics import HostMetrics, VMMetrics
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated


class KVMMetrics:
    """Measures VMs and the host."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def metrics_vm(self, vm: str) -> VMMetrics:
        """Measure one VM."""
        domain = self._connection.domain(vm)
        with translated("metrics_vm", vm):
            ((_, values),) = self._connection.read.domainListGetStats([domain], 0, 0)
        return self._record(domain, values, _now())

    @hookimpl
    def metrics_vms(self) -> list[VMMetrics]:
        """Measure all running VMs in one call."""
        import libvirt

        with translated("metrics_vms"):
            stats = self._connection.read.getAllDomainStats(0, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE)
        at = _now()
        return sorted((self._record(domain, values, at) for domain, values in stats), key=lambda m: m.vm)

    @hookimpl
    def metrics_host(self) -> HostMetrics:
        """Measure the host."""
        with translated("metrics_host"):
            info = self._connection.read.getInfo()
            cpu = self._connection.read.getCPUStats(-1, 0)
            free = self._connection.read.getFreeMemory()
        busy = sum(value for name, value in cpu.items() if name in ("kernel", "user", "iowait"))
        return HostMetrics(
            host=self._connection.name, at=_now(), cpu_seconds=busy / 1e9, cpus=info[2], memory_bytes=info[1] * 2**20,
            memory_free_bytes=free,
        )  # fmt: skip

    def _record(self, domain: Any, values: dict[str, Any], at: str) -> VMMetrics:
        def total(group: str, field: str) -> int:
            return sum(values.get(f"{group}.{n}.{field}", 0) for n in range(values.get(f"{group}.count", 0)))

        unused = values.get("balloon.unused")
        current = values.get("balloon.current", 0) * 1024
        return VMMetrics(
            vm=domain.UUIDString(), host=self._connection.name, at=at, cpu_seconds=values.get("cpu.time", 0) / 1e9,
            vcpus=values.get("vcpu.current", 0), memory_bytes=current,
            memory_used_bytes=None if unused is None else max(0, current - unused * 1024),
            disk_read_bytes=total("block", "rd.bytes"), disk_written_bytes=total("block", "wr.bytes"),
            disk_reads=total("block", "rd.reqs"), disk_writes=total("block", "wr.reqs"),
            net_received_bytes=total("net", "rx.bytes"), net_sent_bytes=total("net", "tx.bytes"),
        )  # fmt: skip


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")


__all__ = ["KVMMetrics"]
