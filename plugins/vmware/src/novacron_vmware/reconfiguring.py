"""Changes that depend on what was read before: vSphere refuses them when another client was quicker, and they are then made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import BusyError, DeviceNotFoundError
from novacron_vmware.errors import translated
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from collections.abc import Callable

    from novacron.jobs import Job
    from novacron_vmware.connection import VMwareConnection

DEVICES = "config.hardware.device"
VERSION = "config.changeVersion"
ATTEMPTS = 20
"""How often a change is made anew when other clients change the same object again and again."""


def reconfigure_vm(
    connection: VMwareConnection,
    thing: Any,
    resource: str,
    paths: list[str],
    wanted: Callable[[dict[str, Any]], Any],
    job: Job[Any] | None = None,
) -> None:
    """Change the configuration of a VM, depending on what it is now.

    Args:
        connection: where the VM is.
        thing: vSphere's VirtualMachine.
        resource: its name, for errors.
        paths: the properties that the change depends on.
        wanted: makes a ConfigSpec of them, or None if nothing is to be changed. It is called again when another client has changed
            the VM in between.
        job: shows the progress, and cancels the task.

    Raises:
        BusyError: other clients changed the VM each time.
    """

    def change() -> None:
        read = connection.read(thing, [*paths, VERSION])
        spec = wanted(read)
        if spec is None:
            return
        spec.changeVersion = read.get(VERSION)
        connection.wait(thing.ReconfigVM_Task(spec), resource=resource, job=job)

    repeated(resource, change)


class SameDevice:
    """Refuses another device than the one that was seen first.

    A change is made anew when another client was quicker. What is then at the same place, such as "sdb", may be another device. A snapshot
    gives a disk another file, and a drive may get another medium; both stay the same device.

    Args:
        place: how the user named the device, for the error.
        vm: the VM's name, for the error.
    """

    def __init__(self, place: str, vm: str) -> None:
        self._place, self._vm = place, vm
        self._first: tuple[object, ...] | None = None

    def __call__(self, device: Any) -> Any:
        """Return the device. Raises DeviceNotFoundError if the first one was another."""
        backing = getattr(device, "backing", None)
        parts = ("id", "systemId", "deviceId", "vendorId")  # a PCI device's place, its node, and what it is
        identity = getattr(backing, "uuid", None) or tuple(getattr(backing, part, None) for part in parts)
        seen = (type(device), device.key, identity)
        if self._first is None:
            self._first = seen
        if seen != self._first:
            raise DeviceNotFoundError(
                f"another client has put another {_kind(device)} at {self._place!r} of {self._vm!r}",
                resource=self._vm,
                hint=f"list its {_kind(device)}s, and look which one you mean",
            )
        return device


def _kind(device: Any) -> str:
    return "disk" if isinstance(device, vim.vm.device.VirtualDisk) else "device"


def repeated(resource: str, change: Callable[[], None]) -> None:
    """Call `change`, which reads and writes, again as long as vSphere says that another client wrote in between."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with translated(resource):
                change()
            return
        except BusyError as error:
            if not isinstance(error.__cause__, vim.fault.ConcurrentAccess) or attempt == ATTEMPTS:
                raise


__all__ = ["DEVICES", "SameDevice", "reconfigure_vm", "repeated"]
