"""Starting and stopping VMs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novacron.errors import InvalidStateError
from novacron.plugins import hookimpl
from novacron.records.vm import VM
from novacron_vmware.connection import VMwareConnection
from novacron_vmware.errors import translated
from novacron_vmware.operations.listing import find_vm, read_vm


class VMwarePower:
    """Changes the power state."""

    def __init__(self, connection: VMwareConnection) -> None:
        self._connection = connection

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
        """Let it go on."""
        return self._change(vm, "resume", ("suspended",), lambda thing: thing.PowerOnVM_Task(), already="running")

    def _change(self, vm: str, verb: str, when: tuple[str, ...], task: Callable[[Any], Any], *, already: str = "") -> VM:
        thing = find_vm(self._connection, vm)
        record = read_vm(self._connection, thing)
        if record.status == already:
            return record
        if record.status not in when:  # vSphere would say so too, with one fault for all of it
            raise InvalidStateError(f"can't {verb} {record.name!r}: it is {record.status}", resource=record.name,
                hint=f"it has to be {' or '.join(when)}")  # fmt: skip
        with translated(record.name):
            self._connection.wait(task(thing), resource=record.name)
        return read_vm(self._connection, thing)


__all__ = ["VMwarePower"]
