"""CPU, memory and I/O of a VM: how many, where, how much at least and at most.

A change is `live` (in force now, gone with the power cycle), `persistent` (from the next start on) or both; a change of both that fails
in one of them is made in neither. What is in force and what holds from the next start are told apart by `Resources.next_start`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.resources import Resources

if TYPE_CHECKING:
    from novacron.specs import LimitsSpec


@operation(kind="read")
def resources_get(vm: str) -> Resources:
    """Return what is in force now, and what holds from the next start where that is something else."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def vcpus_set(vm: str, count: int, live: bool, persistent: bool) -> Resources:
    """Set the number of vCPUs, on a running VM by hot plug when `live`."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def memory_set(vm: str, size: int, live: bool, persistent: bool) -> Resources:
    """Set the memory in bytes, on a running VM by balloon or hot plug when `live`.

    Beyond the memory that a VM has, and up to its `max_memory`, memory modules are added. For less, modules that are not needed are
    taken out where the guest lets go of them; the balloon takes the rest.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def iothreads_set(vm: str, count: int, live: bool, persistent: bool) -> Resources:
    """Set the number of threads that do disks' I/O. Raises InvalidStateError when one that is to go serves a disk."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def pinning_set(vm: str, pinning: dict[str, str], live: bool, persistent: bool) -> Resources:
    """Bind "0", "1", ... (vCPUs), "emulator" or "iothread1", ... to sets of the host's CPUs, such as "0-3,8"; "" frees one."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def limits_set(vm: str, limits: LimitsSpec, live: bool, persistent: bool) -> Resources:
    """Set shares, limits and guarantees of CPU, memory and I/O; only those that `limits` gives."""
    raise NotImplementedError
