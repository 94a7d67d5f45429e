"""Current CPU, memory and I/O settings."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record


class Resources(Record, frozen=True):
    """The resources of a VM, with limits and guarantees. Limits are as in `LimitsSpec`; None or missing means no limit.

    Attributes:
        memory_max_bytes: upper limit of the balloon while the VM runs.
        max_memory_bytes: upper limit of memory hot plug while the VM runs; None if memory can't be added.
        memory_modules: the sizes of the added memory modules in bytes.
        iothreads: the numbers of its I/O threads.
        pinning: the host CPUs of each pinned thread: vCPUs ("0"), "emulator" and I/O threads ("iothread1").
        next_start: the settings of the next start that differ. The rest of the record are the current settings.
    """

    vm: str
    vcpus: int
    vcpus_max: int
    memory_bytes: int
    memory_max_bytes: int
    max_memory_bytes: int | None = None
    memory_modules: tuple[int, ...] = ()
    iothreads: tuple[int, ...] = ()
    cpu_shares: int | None = None
    cpu_limit_percent: float | None = None
    vcpu_limit_percent: float | None = None
    emulator_limit_percent: float | None = None
    iothread_limit_percent: float | None = None
    cpu_period_us: int | None = None
    cpu_guarantee_mhz: int | None = None
    memory_limit_bytes: int | None = None
    memory_soft_limit_bytes: int | None = None
    memory_swap_limit_bytes: int | None = None
    memory_guarantee_bytes: int | None = None
    io_weight: int | None = None
    devices: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    disks: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    nics: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    pinning: dict[str, str] | None = None
    next_start: Resources | None = None


__all__ = ["Resources"]
