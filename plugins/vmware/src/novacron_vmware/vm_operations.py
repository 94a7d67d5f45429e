"""The base class of every operations area: finds, reads and reconfigures VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidStateError
from novacron.jobs import Job
from novacron.records.vm import VM
from novacron_vmware.reconfiguring import DEVICES, reconfigure_vm
from novacron_vmware.records import find_vm, read_vm, summary_record
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from collections.abc import Callable

    from novacron_vmware.connection import VMwareConnection


class VMOperations:
    """The operations of one area on one connection; an area is a subclass."""

    def __init__(self, connection: VMwareConnection) -> None:
        self._connection = connection

    def _find(self, vm: str) -> Any:
        """Return vSphere's VM by UUID or name. Raises VMNotFoundError."""
        return self._connection.inventory.find(vm)

    def _changing(self, vm: str, verb: str, *statuses: str, full: bool = True) -> tuple[Any, VM]:
        """Return a VM that may be changed now, and its record.

        Args:
            vm: its name, path or id.
            verb: what is about to be done, for the error.
            statuses: the statuses in which that is possible; all if none is given. (vSphere has one fault for all of it.)
            full: whether the record has all fields. What a listing shows is found with the VM, without its node and folder.

        Raises:
            VMNotFoundError
            InvalidStateError: its status is none of `statuses`.
        """
        if full:
            thing, record = find_vm(self._connection, vm)
        else:
            thing, read = self._connection.inventory.find_known(vm)
            record = summary_record(self._connection.name, read, None, None)
        if statuses and record.status not in statuses:
            raise InvalidStateError.of_status(verb, record.name, record.status, statuses)
        return thing, record

    def _read(self, thing: Any) -> VM:
        """Return the full record of a VM."""
        return read_vm(self._connection, thing)

    def _devices(self, thing: Any) -> Any:
        """Return a VM's devices."""
        return self._connection.read(thing, [DEVICES]).get(DEVICES) or ()

    def _edit_device(self, thing: Any, name: str, change: Callable[[Any], Any]) -> None:
        """Change a device. `change` gets all devices of the VM as they are now, and returns the changed one."""

        def spec(read: dict[str, Any]) -> Any:
            edited = vim.vm.device.VirtualDeviceSpec(operation="edit", device=change(read.get(DEVICES) or ()))
            return vim.vm.ConfigSpec(deviceChange=[edited])

        reconfigure_vm(self._connection, thing, name, [DEVICES], spec)

    def _tools(self, thing: Any) -> str | None:
        """Return whether VMware Tools run in the guest, in vSphere's words; None where it does not say."""
        status = self._connection.read(thing, ["guest.toolsRunningStatus"]).get("guest.toolsRunningStatus")
        return None if status is None else str(status)

    def _reconfigure(self, thing: Any, name: str, job: Job[Any] | None = None, **config: Any) -> None:
        """Change what `config`, fields of vSphere's ConfigSpec, gives."""
        self._connection.wait(thing.ReconfigVM_Task(vim.vm.ConfigSpec(**config)), resource=name, job=job)


__all__ = ["VMOperations"]
