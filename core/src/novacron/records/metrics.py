"""Measurements, the same for every hypervisor."""

from __future__ import annotations

from novacron.records.record import Record


class VMMetrics(Record, frozen=True):
    """Counters and gauges of one VM at one time; counters grow from the VM's start on this host."""

    vm: str
    host: str
    at: str
    cpu_seconds: float = 0.0
    vcpus: int = 0
    memory_bytes: int = 0
    memory_used_bytes: int | None = None
    disk_read_bytes: int = 0
    disk_written_bytes: int = 0
    disk_reads: int = 0
    disk_writes: int = 0
    net_received_bytes: int = 0
    net_sent_bytes: int = 0


class HostMetrics(Record, frozen=True):
    """Counters and gauges of a host at one time."""

    host: str
    at: str
    cpu_seconds: float = 0.0
    cpus: int = 0
    memory_bytes: int = 0
    memory_free_bytes: int = 0


__all__ = ["HostMetrics", "VMMetrics"]
