"""Devices of the host that VMs get for themselves: list, attach, detach (passthrough)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.devices import HostDevice
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs import HostDeviceSpec


@operation(kind="read")
def device_list() -> list[HostDevice]:
    """List the PCI and USB devices of the host, sorted by kind, machine and address.

    Returns:
        One record per device, with the VMs that have it.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running suspended stopped")
def device_attach(vm: str, spec: HostDeviceSpec) -> VM:
    """Attach a device of the host to a VM. A running VM gets it at once; the definition is changed too.

    Args:
        vm: UUID or name of the VM.
        spec: The device.
    Returns:
        The VM with the device.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the host has no such device.
        AlreadyExistsError: the VM has it already.
        ResourceAllocationError: another running VM has it.
        InvalidSpecError: the host can't give devices of this kind to VMs.

    When: running, suspended or stopped.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running stopped")
def device_detach(vm: str, device: str) -> VM:
    """Detach a device of the host from a VM. The host can use it again.

    Args:
        vm: UUID or name of the VM.
        device: "0000:03:00.0" (PCI), "046d:c52b" (USB), or the UUID of a mediated device.
    Returns:
        The VM without the device.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the VM has no such device.
        OperationTimeoutError: the guest did not release the device.

    When: running or stopped.
    """
    raise NotImplementedError
