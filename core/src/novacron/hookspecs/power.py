"""The power state of a VM: start, shut down, stop, reboot, suspend, save."""

from __future__ import annotations

from typing import Literal

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.vm import VM


@operation(kind="change", mandatory=True, locks="vm", statuses="stopped saved")
def vm_start(vm: str) -> VM:
    """Start a stopped VM, or restore a saved one. Raises InvalidStateError when it runs or is suspended."""
    raise NotImplementedError


@operation(kind="job", locks="vm", timeout=900, statuses="running")
def vm_shutdown(vm: str, seconds: float, otherwise: Literal["fail", "stop"], job: Job[VM]) -> VM:
    """Ask the guest to shut down and wait `seconds`; then raise OperationTimeoutError or stop it, as `otherwise` says.

    When: running. Returns the record of the stopped VM.
    """
    raise NotImplementedError


@operation(kind="change", mandatory=True, locks="vm", statuses="running suspended")
def vm_stop(vm: str) -> VM:
    """Power off at once. Raises InvalidStateError when it is stopped."""
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running")
def vm_reboot(vm: str) -> VM:
    """Ask the guest to reboot; returns when it was asked. When: running."""
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running")
def vm_reset(vm: str) -> VM:
    """Reset the VM as the hardware's button does. When: running."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended")
def vm_suspend(vm: str) -> VM:
    """Halt the VM and keep its memory; a suspended VM stays so. When: running, suspended."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended")
def vm_resume(vm: str) -> VM:
    """Let a suspended VM go on; a running one stays so. When: running, suspended."""
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended")
def vm_save(vm: str, job: Job[VM]) -> VM:
    """Write the VM's memory to disk and power it off; `vm_restore` or `vm_start` goes on from there. When: running, suspended."""
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="saved")
def vm_restore(vm: str, job: Job[VM]) -> VM:
    """Go on from a saved VM's memory. When: saved."""
    raise NotImplementedError
