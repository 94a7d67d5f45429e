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
    """What a VM may do with a block device of its host; None leaves a limit as it is, 0 lifts it.

    `weight` (10 to 1000) is its share of the device beside other VMs; the host's scheduler of the device must know weights (bfq).
    """

    weight: int | None = Field(None, ge=0, le=1000)
    read_bytes_per_second: Rate | None = None
    write_bytes_per_second: Rate | None = None
    read_iops: int | None = Field(None, ge=0)
    write_iops: int | None = Field(None, ge=0)


class NICLimits(Spec):
    """What may come to a NIC and go from it; None leaves a limit as it is, 0 lifts it."""

    inbound_bytes_per_second: Rate | None = None
    outbound_bytes_per_second: Rate | None = None


class LimitsSpec(Spec):
    """Shares, limits and guarantees; only the given fields change, None lifts one.

    The percentages are of one CPU: `cpu_limit_percent` for all of the VM, the others for each of its vCPUs, for what the hypervisor itself
    does for it, for each of its I/O threads. They are kept over each `cpu_period_us` microseconds. `memory_limit` and
    `memory_soft_limit` (kept when the host is short of memory) are of what the VM takes of the host, its hypervisor included;
    `memory_swap_limit` is of that with what is swapped out. `io_weight` (10 to 1000) is the VM's share of the host's block devices;
    `devices` limits one of them by its path, `disks` a disk of the VM by its target, `nics` a NIC by its MAC address.

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
