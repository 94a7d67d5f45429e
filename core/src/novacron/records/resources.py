"""Current CPU, memory and I/O settings."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record


class Resources(Record, frozen=True):
    """The resources of a VM, with limits and guarantees.

    For limits and guarantees, None or a missing entry means that there is none.

    Attributes:
        vm: Id of the VM.
        vcpus: Number of vCPUs.
        vcpus_max: Number of vCPUs up to which vCPUs can be added while the VM runs.
        memory_bytes: Memory in bytes.
        memory_max_bytes: Upper limit of the balloon in bytes, while the VM runs.
        max_memory_bytes: Upper limit of memory hot plug in bytes, while the VM runs; None if memory can't be added.
        memory_modules: Sizes of the added memory modules in bytes.
        iothreads: Numbers of its I/O threads.
        cpu_shares: Share of CPU time relative to other VMs when the host is busy.
        cpu_limit_percent: Most CPU time of the whole VM, in percent of one CPU.
        vcpu_limit_percent: Most CPU time of each vCPU, in percent of one CPU.
        emulator_limit_percent: Most CPU time of the hypervisor's own work for the VM, in percent of one CPU.
        iothread_limit_percent: Most CPU time of each I/O thread, in percent of one CPU.
        cpu_period_us: Period over which the CPU limits are enforced, in microseconds.
        cpu_guarantee_mhz: CPU time that the host reserves for the VM, in MHz.
        memory_limit_bytes: Most memory of the host in bytes that the VM takes, including its hypervisor process.
        memory_soft_limit_bytes: Memory in bytes that the VM is reduced to when the host is short of memory.
        memory_swap_limit_bytes: Most memory and swap space together, in bytes.
        memory_guarantee_bytes: Memory in bytes that the host reserves for the VM.
        io_weight: Share of the host's block devices relative to other VMs.
        devices: Limits on block devices of the host by path, with the fields of `DeviceLimits`.
        disks: Limits of disks by target, with the fields of `DiskLimits`.
        nics: Limits of NICs by MAC address, with the fields of `NICLimits`.
        pinning: CPUs of the host for each pinned thread: vCPUs ("0"), "emulator" and I/O threads ("iothread1"); None if it was
            not read.
        next_start: Settings of the next start that differ. The rest of the record are the current settings.
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
