"""Devices of a host, and those that a VM gets for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Unpack

from novacron.records.devices import HostDevice
from novacron.text import printable_line

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.specs.devices import HostDeviceSpec
    from novacron.specs.keywords import HostDeviceFields


class HostDevices:
    """The PCI and USB devices of a host.

    Example:
        >>> import novacron
        >>> [device.id for device in novacron.connect("sim://devices").devices.list("usb")]
        ['046d:c52b', '0951:1666']
    """

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def __repr__(self) -> str:
        return printable_line(f"<devices of {self._host.name}>")

    def list(self, kind: Literal["pci", "usb"] | None = None) -> Sequence[HostDevice]:
        """Return the devices, sorted by kind, machine and address; each names the VMs that have it.

        Args:
            kind: "pci" or "usb" for one kind only.
        """
        found: Sequence[HostDevice] = self._host.invoke("device_list")
        return [device for device in found if kind in (None, device.kind)]


class VMDevices:
    """Gives devices of the host to a VM, and takes them back.

    Example:
        >>> import novacron
        >>> host = novacron.connect("sim://devices-of-vms")
        >>> vm = host.vms.create(name="web1")
        >>> vm = vm.host_devices.attach(pci="03:00.0")
        >>> [device.vms for device in host.devices.list() if device.address == "0000:03:00.0"]
        [('web1',)]
        >>> vm.host_devices.detach("03:00.0").name
        'web1'
    """

    def __init__(self, vm: VMHandle) -> None:
        self._vm = vm

    def __repr__(self) -> str:
        return printable_line(f"<devices of the host that {self._vm.name} has>")

    def list(self) -> Sequence[HostDevice]:
        """Return the devices of the host that the VM has."""
        return [device for device in self._vm.host.devices.list() if self._vm.name in device.vms]

    def attach(self, spec: HostDeviceSpec | None = None, **fields: Unpack[HostDeviceFields]) -> VMHandle:
        """Attach a device. A running VM gets it at once; the definition is changed too.

        Args:
            spec: the device, instead of single fields.
            fields: `pci="03:00.0"`, `usb="046d:c52b"` or `mdev=UUID`; see `HostDeviceSpec`.

        Returns:
            The VM's handle.

        Raises:
            DeviceNotFoundError: the host has no such device.
            AlreadyExistsError: the VM has it already.
            ResourceAllocationError: another running VM has it.
            InvalidSpecError: the host can't give devices of this kind to VMs.
        """
        from novacron.specs import HostDeviceSpec

        asked = HostDeviceSpec.parse(spec if spec is not None else fields)
        self._vm.record = self._vm.host.invoke("device_attach", vm=self._vm.id, spec=asked)
        return self._vm

    def detach(self, device: str) -> VMHandle:
        """Detach a device, so that the host can use it again.

        Args:
            device: "03:00.0" (PCI), "046d:c52b" (USB), or the UUID of a mediated device.

        Returns:
            The VM's handle.

        Raises:
            DeviceNotFoundError: the VM has no such device.
        """
        self._vm.record = self._vm.host.invoke("device_detach", vm=self._vm.id, device=full_address(device))
        return self._vm


def full_address(device: str) -> str:
    """Return the name of a device in lower case; the short address of a PCI device with its domain.

    Example:
        >>> full_address("03:00.0"), full_address("046D:C52B")
        ('0000:03:00.0', '046d:c52b')
    """
    name = device.strip().lower()
    return f"0000:{name}" if name.count(":") == 1 and "." in name else name


__all__ = ["HostDevices", "VMDevices", "full_address"]
