"""Changes that depend on what was read before: vSphere refuses them when another client was quicker, and they are then made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import BusyError
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


__all__ = ["DEVICES", "reconfigure_vm", "repeated"]
