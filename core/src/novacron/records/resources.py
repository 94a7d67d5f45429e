"""CPU and memory as they are in force."""

from __future__ import annotations

from novacron.records.record import Record


class Resources(Record, frozen=True):
    """What a VM has, may use and is guaranteed."""

    vm: str
    vcpus: int
    vcpus_max: int
    memory_bytes: int
    memory_max_bytes: int
    cpu_shares: int | None = None
    cpu_limit_percent: float | None = None
    cpu_guarantee_mhz: int | None = None
    memory_limit_bytes: int | None = None
    memory_guarantee_bytes: int | None = None
    pinning: dict[str, str] | None = None


__all__ = ["Resources"]
