"""The power state of a VM: start, shut down, stop, reboot, suspend, save."""

from __future__ import annotations

from typing import Literal

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.vm import VM


@operation(kind="change", mandatory=True, locks="vm", statuses="stopped saved")
def vm_start(vm: str) -> VM:
    """Start a stopped VM, or restore a saved one.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The record of the running VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        ImageNotFoundError: a file that the VM needs is missing.
        DiskLockedError: another VM uses a disk.
        ResourceAllocationError: the host has not enough memory, or QEMU ended at once.
        SecretNotFoundError: the secret of an encrypted disk is missing.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: stopped or saved.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", timeout=900, statuses="running")
def vm_shutdown(vm: str, seconds: float, otherwise: Literal["fail", "stop"], job: Job[VM]) -> VM:
    """Ask the guest to shut down, and wait for its end.

    Args:
        vm: UUID or name of the VM.
        seconds: Longest time to wait, in seconds.
        otherwise: What to do if the guest still runs then: "fail" raises OperationTimeoutError, "stop" powers the VM off.
        job: The running job.
    Returns:
        The record of the stopped VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        OperationTimeoutError: the guest still runs and `otherwise` is "fail".
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running.
    """
    raise NotImplementedError


@operation(kind="change", mandatory=True, locks="vm", statuses="running suspended")
def vm_stop(vm: str) -> VM:
    """Power off a VM at once.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The record of the stopped VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running or suspended.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running")
def vm_reboot(vm: str) -> VM:
    """Ask the guest to reboot. The call returns without waiting for the reboot.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The record of the VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running")
def vm_reset(vm: str) -> VM:
    """Reset a VM, as a hardware reset button does.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The record of the VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended")
def vm_suspend(vm: str) -> VM:
    """Suspend a VM and keep its memory. A suspended VM stays suspended.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The record of the suspended VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running or suspended.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended")
def vm_resume(vm: str) -> VM:
    """Resume a suspended VM. A running VM stays running.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The record of the running VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        DiskLockedError: another host runs the VM, or uses its disk.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running or suspended.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended")
def vm_save(vm: str, job: Job[VM]) -> VM:
    """Write a VM's memory to disk and power it off. `vm_restore` or `vm_start` resumes it.

    Args:
        vm: UUID or name of the VM.
        job: Reports the bytes written.
    Returns:
        The record of the saved VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        ResourceAllocationError: there is no room for the memory.
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running or suspended.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="saved")
def vm_restore(vm: str, job: Job[VM]) -> VM:
    """Restore a saved VM; it resumes with the saved memory.

    Args:
        vm: UUID or name of the VM.
        job: Reports the bytes read.
    Returns:
        The record of the running VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: saved.
    """
    raise NotImplementedError
