"""CPU, memory and I/O limits and guarantees as asked for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from novacron.specs.disks import DiskLimits
from novacron.specs.nics import MAC
from novacron.specs.spec import Rate, Size, Spec

Percent = Annotated[float, Field(gt=0)]
"""Of one CPU of the host: 150 is one and a half."""


class DeviceLimits(Spec):
    """Limits of a VM on a block device of its host. None leaves a limit as it is, 0 removes it.

    Attributes:
        weight: Share of the device relative to other VMs, from 10 to 1000. The host's I/O scheduler must support weights (bfq).
        read_bytes_per_second: Most bytes per second that are read; a number or text such as "100MiB/s".
        write_bytes_per_second: Most bytes per second that are written; a number or text such as "100MiB/s".
        read_iops: Most read requests per second.
        write_iops: Most write requests per second.
    """

    weight: int | None = Field(None, ge=0, le=1000)
    read_bytes_per_second: Rate | None = None
    write_bytes_per_second: Rate | None = None
    read_iops: int | None = Field(None, ge=0)
    write_iops: int | None = Field(None, ge=0)


class NICLimits(Spec):
    """Limits of a NIC. None leaves a limit as it is, 0 removes it.

    Attributes:
        inbound_bytes_per_second: Most bytes per second that the NIC receives; a number or text such as "100MiB/s".
        outbound_bytes_per_second: Most bytes per second that the NIC sends; a number or text such as "100MiB/s".
    """

    inbound_bytes_per_second: Rate | None = None
    outbound_bytes_per_second: Rate | None = None


class LimitsSpec(Spec):
    """Shares, limits and guarantees of a VM. Only the given fields change; None removes a limit.

    The percentages are of one CPU of the host: 150 is one and a half CPUs.

    Attributes:
        cpu_shares: Share of CPU time relative to other VMs when the host is busy. A VM with 2048 gets twice as much as one with
            1024.
        cpu_limit_percent: Most CPU time of the whole VM, in percent of one CPU: 150 is one and a half CPUs.
        vcpu_limit_percent: Most CPU time of each vCPU, in percent of one CPU.
        emulator_limit_percent: Most CPU time of the hypervisor's own work for the VM, in percent of one CPU.
        iothread_limit_percent: Most CPU time of each I/O thread, in percent of one CPU.
        cpu_period_us: Period over which the CPU limits are enforced, in microseconds. Without it the hypervisor's default is
            used, usually 100000.
        cpu_guarantee_mhz: CPU time that the host reserves for the VM, in MHz.
        memory_limit: Most memory of the host that the VM takes, including its hypervisor process, in bytes or text such as
            "4GiB". Beyond it the host's kernel may kill the VM.
        memory_soft_limit: Memory in bytes, or text such as "4GiB", that the VM is reduced to when the host is short of memory.
        memory_swap_limit: Most memory and swap space together, in bytes or text such as "8GiB".
        memory_guarantee: Memory that the host reserves for the VM, in bytes or text such as "2GiB".
        io_weight: Share of the host's block devices relative to other VMs, from 10 to 1000.
        devices: Limits on single block devices of the host, by path: {"/dev/sda": {"read_iops": 500}}.
        disks: Limits of single disks of the VM, by target: {"vda": {"total_iops": 500}}.
        nics: Limits of single NICs of the VM, by MAC address.

    Example:
        >>> LimitsSpec(cpu_limit_percent=150, disks={"vda": {"read_bytes_per_second": "10MiB/s"}}).disks["vda"].read_bytes_per_second
        10485760
    """

    cpu_shares: int | None = Field(None, ge=2, le=262144)
    cpu_limit_percent: Percent | None = None
    vcpu_limit_percent: Percent | None = None
    emulator_limit_percent: Percent | None = None
    iothread_limit_percent: Percent | None = None
    cpu_period_us: int | None = Field(None, ge=1000, le=1_000_000)
    cpu_guarantee_mhz: int | None = Field(None, ge=0)
    memory_limit: Size | None = None
    memory_soft_limit: Size | None = None
    memory_swap_limit: Size | None = None
    memory_guarantee: Size | None = None
    io_weight: int | None = Field(None, ge=10, le=1000)
    devices: dict[Annotated[str, Field(pattern=r"^/dev/[^,]+$")], DeviceLimits] = Field(default_factory=dict)
    disks: dict[str, DiskLimits] = Field(default_factory=dict)
    nics: dict[MAC, NICLimits] = Field(default_factory=dict)


__all__ = ["DeviceLimits", "LimitsSpec", "NICLimits"]
