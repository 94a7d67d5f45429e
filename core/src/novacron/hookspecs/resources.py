"""CPU and memory of a VM: how many, where, how much at least and at most. `persistent` changes survive a power cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.resources import Resources

if TYPE_CHECKING:
    from novacron.specs import LimitsSpec


@operation(kind="read")
def resources_get(vm: str) -> Resources:
    """Return what is in force now."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def vcpus_set(vm: str, count: int, live: bool, persistent: bool) -> Resources:
    """Set the number of vCPUs, on a running VM by hot plug when `live`."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def memory_set(vm: str, size: int, live: bool, persistent: bool) -> Resources:
    """Set the memory in bytes, on a running VM by balloon or hot plug when `live`."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def pinning_set(vm: str, pinning: dict[str, str], live: bool, persistent: bool) -> Resources:
    """Bind "0", "1", ... (vCPUs) or "emulator" to sets of the host's CPUs, such as "0-3,8"."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def limits_set(vm: str, limits: LimitsSpec, live: bool, persistent: bool) -> Resources:
    """Set shares, limits and guarantees; only those that `limits` gives."""
    raise NotImplementedError
