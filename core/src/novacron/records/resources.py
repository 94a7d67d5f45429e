"""CPU, memory and I/O as they are in force."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record


class Resources(Record, frozen=True):
    """What a VM has, may use and is guaranteed; limits as in `LimitsSpec`, None or left out where there is none.

    Attributes:
        memory_max_bytes: to what the balloon can be let out while the VM runs.
        max_memory_bytes: to what memory can be added while the VM runs; None when none can.
        memory_modules: the sizes in bytes of the memory modules that were added.
        iothreads: the numbers of its I/O threads.
        pinning: the host's CPUs of each vCPU ("0"), the "emulator" and the I/O threads ("iothread1") that are bound to some.
        next_start: what holds from the next start, where that is something else; the rest of the record is what is in force now.
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
