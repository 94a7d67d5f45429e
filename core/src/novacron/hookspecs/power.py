"""The power state of a VM: start, shut down, stop, reboot, suspend, save."""

from __future__ import annotations

from typing import Literal

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.vm import VM


@operation(kind="change", mandatory=True, locks="vm", statuses="stopped saved")
def vm_start(vm: str) -> VM:
    """Start a stopped VM, or restore a saved one.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        ImageNotFoundError: a file that the VM needs is missing.
        DiskLockedError: another VM uses a disk.
        ResourceAllocationError: the host has not enough memory, or QEMU ended at once.
        SecretNotFoundError: the secret of an encrypted disk is missing.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", timeout=900, statuses="running")
def vm_shutdown(vm: str, seconds: float, otherwise: Literal["fail", "stop"], job: Job[VM]) -> VM:
    """Ask the guest to shut down and wait `seconds` for it.

    Returns the record of the stopped VM. With `otherwise` "stop" a guest that does not follow is powered off.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        OperationTimeoutError: the guest still runs and `otherwise` is "fail".
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="change", mandatory=True, locks="vm", statuses="running suspended")
def vm_stop(vm: str) -> VM:
    """Power a VM off at once.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running")
def vm_reboot(vm: str) -> VM:
    """Ask the guest to reboot; returns when the guest was asked.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running")
def vm_reset(vm: str) -> VM:
    """Reset the VM as the hardware's reset button does.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended")
def vm_suspend(vm: str) -> VM:
    """Suspend a VM: it keeps its memory and does not run. A suspended VM stays suspended.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended")
def vm_resume(vm: str) -> VM:
    """Resume a suspended VM. A running VM keeps running.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        DiskLockedError: another host runs the VM, or uses its disk.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended")
def vm_save(vm: str, job: Job[VM]) -> VM:
    """Write the VM's memory to disk and power it off; `vm_restore` and `vm_start` continue from there.

    A save that is interrupted leaves the VM running.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        ResourceAllocationError: there is no room for the memory.
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="saved")
def vm_restore(vm: str, job: Job[VM]) -> VM:
    """Continue a VM from its saved memory.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError
