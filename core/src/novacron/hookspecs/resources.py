"""CPU, memory and I/O of a VM: number, placement, guarantees and limits.

A change is `live` (in effect now, lost at the next start), `persistent` (from the next start on) or both. If a change of both fails in
one of them, neither is changed. `Resources.next_start` has the values of the next start.

Every change raises InvalidSpecError for a value that the host can't provide, and InvalidStateError for a live change of a VM that does
not run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.resources import Resources

if TYPE_CHECKING:
    from novacron.specs import LimitsSpec


@operation(kind="read")
def resources_get(vm: str) -> Resources:
    """Return the CPU, memory and I/O settings of a VM: the current ones, and those of the next start if they differ.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The resources; memory in bytes.
    Raises:
        VMNotFoundError: the host has no such VM.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def vcpus_set(vm: str, count: int, live: bool, persistent: bool) -> Resources:
    """Set the number of vCPUs. A live change uses hot plug.

    Args:
        vm: UUID or name of the VM.
        count: Number of vCPUs.
        live: Change the running VM.
        persistent: Change the definition.
    Returns:
        The changed resources.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidSpecError: `count` is above the VM's maximum.
        InvalidStateError: the VM does not run, or a vCPU can't be removed while it runs.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def memory_set(vm: str, size: int, live: bool, persistent: bool) -> Resources:
    """Set the memory in bytes. A live change uses the balloon or memory hot plug.

    A size above the VM's current memory, up to its `max_memory`, adds memory modules. A smaller size first removes the modules that are
    not needed and that the guest releases; the balloon takes the rest.

    Args:
        vm: UUID or name of the VM.
        size: Memory in bytes.
        live: Change the running VM.
        persistent: Change the definition.
    Returns:
        The changed resources.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidSpecError: `size` is above the VM's maximum.
        InvalidStateError: the VM does not run, or its memory can't be changed while it runs.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def iothreads_set(vm: str, count: int, live: bool, persistent: bool) -> Resources:
    """Set the number of threads for disk I/O.

    Args:
        vm: UUID or name of the VM.
        count: Number of I/O threads.
        live: Change the running VM.
        persistent: Change the definition.
    Returns:
        The changed resources.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM does not run, or a disk uses a thread that would be removed.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def pinning_set(vm: str, pinning: dict[str, str], live: bool, persistent: bool) -> Resources:
    """Pin threads of a VM to CPUs of the host.

    Args:
        vm: UUID or name of the VM.
        pinning: CPU sets such as "0-3,8" by thread: "0", "1", ... (vCPUs), "emulator", "iothread1", ... An empty set removes a pin.
        live: Change the running VM.
        persistent: Change the definition.
    Returns:
        The changed resources.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidSpecError: the VM has no such thread, or the host has no such CPU.
        InvalidStateError: the VM does not run.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def limits_set(vm: str, limits: LimitsSpec, live: bool, persistent: bool) -> Resources:
    """Set shares, limits and guarantees of CPU, memory and I/O. Only the given ones are changed.

    Args:
        vm: UUID or name of the VM.
        limits: The values; sizes in bytes, rates per second.
        live: Change the running VM.
        persistent: Change the definition.
    Returns:
        The changed resources.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the VM has no disk that `limits` names.
        InvalidStateError: the VM does not run.
    """
    raise NotImplementedError
