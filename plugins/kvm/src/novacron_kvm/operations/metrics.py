"""Measurements from libvirt's bulk statistics."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from novacron.plugins import hookimpl
from novacron.records.metrics import DiskMetrics, HostMetrics, NICMetrics, VMMetrics
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
        disks = tuple(
            DiskMetrics(
                target=group["name"], read_bytes=group.get("rd.bytes", 0), written_bytes=group.get("wr.bytes", 0),
                reads=group.get("rd.reqs", 0), writes=group.get("wr.reqs", 0), read_seconds=group.get("rd.times", 0) / 1e9,
                write_seconds=group.get("wr.times", 0) / 1e9,
            )
            for group in _groups(values, "block")
        )  # fmt: skip
        nics = tuple(
            NICMetrics(
                name=group["name"], received_bytes=group.get("rx.bytes", 0), sent_bytes=group.get("tx.bytes", 0),
                received_packets=group.get("rx.pkts", 0), sent_packets=group.get("tx.pkts", 0),
                dropped=group.get("rx.drop", 0) + group.get("tx.drop", 0),
            )
            for group in _groups(values, "net")
        )  # fmt: skip
        unused = values.get("balloon.unused")
        current = values.get("balloon.current", 0) * 1024
        return VMMetrics(
            vm=domain.UUIDString(), host=self._connection.name, at=at, cpu_seconds=values.get("cpu.time", 0) / 1e9,
            vcpus=values.get("vcpu.current", 0), memory_bytes=current,
            memory_used_bytes=None if unused is None else max(0, current - unused * 1024),
            disk_read_bytes=sum(d.read_bytes for d in disks), disk_written_bytes=sum(d.written_bytes for d in disks),
            disk_reads=sum(d.reads for d in disks), disk_writes=sum(d.writes for d in disks),
            net_received_bytes=sum(n.received_bytes for n in nics), net_sent_bytes=sum(n.sent_bytes for n in nics),
            disks=disks, nics=nics,
        )  # fmt: skip


def _groups(values: dict[str, Any], group: str) -> list[dict[str, Any]]:
    """Return the values of each disk or NIC, without the "block.0." before them."""
    found: list[dict[str, Any]] = [{} for _ in range(values.get(f"{group}.count", 0))]
    for key, value in values.items():
        if key.startswith(group + "."):
            _, number, name = (*key.split(".", 2), "")[:3]
            if number.isdecimal() and int(number) < len(found):
                found[int(number)][name] = value
    return [one for one in found if "name" in one]


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")


__all__ = ["KVMMetrics"]
