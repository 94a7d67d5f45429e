"""Starting and stopping VMs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from novacron.errors import GuestAgentUnavailableError, OperationTimeoutError
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.vm import VM
from novacron_vmware.errors import translated
from novacron_vmware.vm_operations import VMOperations

TOOLS = "start the guest's VMware Tools (open-vm-tools), or use stop or reset"


class VMwarePower(VMOperations):
    """Changes the power state."""

    @hookimpl
    def vm_start(self, vm: str) -> VM:
        """Power it on."""
        return self._change(vm, "start", ("stopped",), lambda thing: thing.PowerOnVM_Task())

    @hookimpl
    def vm_stop(self, vm: str) -> VM:
        """Power it off at once."""
        return self._change(vm, "stop", ("running", "suspended"), lambda thing: thing.PowerOffVM_Task())

    @hookimpl
    def vm_reset(self, vm: str) -> VM:
        """Press the reset button."""
        return self._change(vm, "reset", ("running",), lambda thing: thing.ResetVM_Task())

    @hookimpl
    def vm_suspend(self, vm: str) -> VM:
        """Write its memory to disk and halt it."""
        return self._change(vm, "suspend", ("running",), lambda thing: thing.SuspendVM_Task(), already="suspended")

    @hookimpl
    def vm_resume(self, vm: str) -> VM:
        """Resume the VM."""
        return self._change(vm, "resume", ("suspended",), lambda thing: thing.PowerOnVM_Task(), already="running")

    @hookimpl
    def vm_shutdown(self, vm: str, seconds: float, otherwise: Literal["fail", "stop"], job: Job[VM]) -> VM:
        """Ask the guest's Tools to shut it down."""
        thing, record = self._changing(vm, "shut down", "running", full=False)
        job.report("asking the guest", 0.0)
        asked = True
        try:
            self._ask(thing, record.name, thing.ShutdownGuest)
        except GuestAgentUnavailableError:
            if otherwise == "fail":
                raise
            asked = False
        deadline = time.monotonic() + (seconds if asked else 0)
        while (left := deadline - time.monotonic()) > 0:
            if self._read(thing).status == "stopped":
                return self._read(thing)
            job.raise_if_cancelled()
            job.report("waiting for the guest", max(0.0, 1 - left / seconds))
            time.sleep(min(0.5, max(0.0, left)))
        if otherwise == "fail":
            raise OperationTimeoutError(
                f"{record.name!r} did not shut down within {seconds:g} s",
                resource=record.name,
                outcome="unknown",
                hint="it may still do; use otherwise='stop' to make sure",
            )
        if self._read(thing).status == "running":
            self._connection.wait(thing.PowerOffVM_Task(), resource=record.name)
        return self._read(thing)

    @hookimpl
    def vm_reboot(self, vm: str) -> VM:
        """Ask the guest's Tools to reboot it."""
        thing, record = self._changing(vm, "reboot", "running", full=False)
        self._ask(thing, record.name, thing.RebootGuest)
        return self._read(thing)

    def _ask(self, thing: Any, name: str, ask: Callable[[], Any]) -> None:
        if self._tools(thing) == "guestToolsNotRunning":  # vSphere says so too, but after it tried
            raise GuestAgentUnavailableError(f"the guest of {name!r} runs no VMware Tools", resource=name, hint=TOOLS)
        with translated(name):
            ask()

    def _change(self, vm: str, verb: str, when: tuple[str, ...], task: Callable[[Any], Any], *, already: str = "") -> VM:
        thing, record = self._changing(vm, verb, *when, *filter(None, [already]), full=False)
        if record.status == already:
            return self._read(thing)
        with translated(record.name):
            self._connection.wait(task(thing), resource=record.name)
        return self._read(thing)


__all__ = ["VMwarePower"]
