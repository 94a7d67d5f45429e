"""The virtual devices of a VM: list all of them, connect, add and remove those that the contract does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from novacron.errors import DeviceNotFoundError, InvalidSpecError, InvalidStateError, SpecProblem
from novacron_vmware.devices import find_disk, split_path
from novacron_vmware.gone import still_there
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import VMDevice
from novacron_vmware.placement import find_store
from novacron_vmware.reconfiguring import DEVICES, SameDevice, reconfigure_vm
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Device = vim.vm.device
KEPT = (Device.VirtualDisk, Device.VirtualEthernetCard)
"""Devices that are removed by the contract's operations, which know about their files and networks."""


class VSphereVMDevices(NativeOperations):
    """Virtual devices of VMs."""

    @vsphere.operation(kind="read")
    def vm_device_list(self, vm: str) -> list[VMDevice]:
        """List all virtual devices of a VM. Raw device mappings (RDM) show their LUN."""
        devices = self._devices(self._vm(vm))
        labels = {device.key: _label(device) for device in devices}
        return sorted((_record(device, labels) for device in devices), key=lambda each: each.key)

    @vsphere.operation(kind="change", locks="vm")
    def vm_device_add(
        self, vm: str, kind: Literal["usb", "usb3", "floppy", "serial"], file: str = "", uri: str = ""
    ) -> list[VMDevice]:
        """Add a USB controller, a floppy drive or a serial port to a VM.

        Args:
            vm: its name, path or id.
            kind: the device.
            file: the image of a floppy, or the file into which a serial port writes: "[DATASTORE] FOLDER/FILE".
            uri: where a serial port listens, such as "telnet://:2001"; its node's firewall has to allow it.
        """
        thing = self._vm(vm)
        known = {device.key for device in self._devices(thing)}
        device = self._new(kind, file, uri, self._devices(thing))
        change = Device.VirtualDeviceSpec(operation="add", device=device)
        self._run(vm, lambda: thing.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
        return [each for each in self.vm_device_list(vm) if each.key not in known]

    @vsphere.operation(kind="change", locks="vm", destroys=True)
    def vm_device_remove(self, vm: str, device: str) -> list[VMDevice]:
        """Remove a device from a VM. Disks and NICs are refused: `disk detach` and `nic detach` remove them.

        Args:
            vm: its name, path or id.
            device: its label, such as "Floppy drive 1", or its key.
        """
        thing = self._vm(vm)
        same = SameDevice(device, vm)

        def removal(read: dict[str, Any]) -> Any:
            devices = read.get(DEVICES) or ()
            found = same(_named(devices, vm, device))
            if isinstance(found, KEPT):
                raise InvalidStateError(f"{device!r} is a disk or a NIC", resource=vm, hint="use `disk detach` or `nic detach`")
            if used := [_label(each) for each in devices if each.controllerKey == found.key]:
                raise InvalidStateError(f"{device!r} has devices: {', '.join(used)}", resource=vm, hint="remove them first")
            return vim.vm.ConfigSpec(deviceChange=[Device.VirtualDeviceSpec(operation="remove", device=found)])

        reconfigure_vm(self._connection, thing, vm, [DEVICES], removal)
        return self.vm_device_list(vm)

    @vsphere.operation(kind="change", locks="vm", idempotent=True)
    def vm_device_connect(self, vm: str, device: str) -> VMDevice:
        """Connect a device of a running VM, such as a drive or a serial port, and let it be connected at each start.

        Args:
            vm: its name, path or id.
            device: its label or key.
        """
        return self._connected(vm, device, connected=True)

    @vsphere.operation(kind="change", locks="vm", idempotent=True)
    def vm_device_disconnect(self, vm: str, device: str) -> VMDevice:
        """Disconnect a device of a VM; it stays disconnected at the next start.

        Args:
            vm: its name, path or id.
            device: its label or key.
        """
        return self._connected(vm, device, connected=False)

    @vsphere.operation(kind="change", locks="vm", idempotent=True)
    def vm_disk_mode(
        self, vm: str, disk: str, mode: Literal["persistent", "independent_persistent", "independent_nonpersistent"]
    ) -> VMDevice:
        """Change the mode of a disk of a stopped VM. Snapshots leave independent disks out.

        Args:
            vm: its name, path or id.
            disk: the disk, such as sdb.
            mode: "independent_nonpersistent" forgets all that was written when the VM stops.
        """
        thing = self._vm(vm)
        found = find_disk(self._devices(thing), disk, vm)
        if not isinstance(found, Device.VirtualDisk):
            raise InvalidStateError(f"{disk!r} is a drive", resource=vm, hint="only disks have a mode")
        if self._connection.read(thing, ["runtime.powerState"]).get("runtime.powerState") != "poweredOff":
            raise InvalidStateError(f"can't change the mode of {disk!r} while {vm!r} runs", resource=vm, hint="stop it first")
        return self._edited(vm, thing, disk, found, lambda device: setattr(device.backing, "diskMode", mode))

    def _connected(self, vm: str, device: str, *, connected: bool) -> VMDevice:
        thing = self._vm(vm)
        found = self._device(thing, vm, device)
        if found.connectable is None:
            raise InvalidStateError(
                f"{device!r} is always connected", resource=vm, hint="drives, NICs and ports can be disconnected"
            )
        running = self._connection.read(thing, ["runtime.powerState"]).get("runtime.powerState") == "poweredOn"

        def change(device: Any) -> None:
            device.connectable.connected = connected and running
            device.connectable.startConnected = connected

        return self._edited(vm, thing, device, found, change)

    def _edited(self, vm: str, thing: Any, text: str, found: Any, change: Callable[[Any], None]) -> VMDevice:
        """Change a device of a VM, as it is now, and return it."""
        key, same = found.key, SameDevice(text, vm)
        same(found)

        def spec(read: dict[str, Any]) -> Any:
            device = next((each for each in read.get(DEVICES) or () if each.key == key), None)
            if device is None:
                raise DeviceNotFoundError(f"{vm!r} has lost the device", resource=vm, hint="list its devices")
            change(same(device))
            return vim.vm.ConfigSpec(deviceChange=[Device.VirtualDeviceSpec(operation="edit", device=device)])

        reconfigure_vm(self._connection, thing, vm, [DEVICES], spec)
        return still_there(each for each in self.vm_device_list(vm) if each.key == key)

    def _vm(self, text: str) -> Any:
        return self._connection.inventory.find(text)

    def _devices(self, thing: Any) -> list[Any]:
        return list(self._connection.read(thing, ["config.hardware.device"]).get("config.hardware.device") or ())

    def _device(self, thing: Any, vm: str, text: str) -> Any:
        return _named(self._devices(thing), vm, text)

    def _new(self, kind: str, file: str, uri: str, devices: list[Any]) -> Any:
        if kind in ("usb", "usb3"):
            self._refuse(kind, file=file, uri=uri)
            made = Device.VirtualUSBController if kind == "usb" else Device.VirtualUSBXHCIController
            return made(key=-1)
        if file:
            parts = split_path(file)
            if parts is None:
                problem = SpecProblem("file", file, "[DATASTORE] FOLDER/FILE")
                raise InvalidSpecError("no file in a datastore", problems=[problem])
            find_store(self._connection, parts[0])
        connectable = Device.VirtualDevice.ConnectInfo(startConnected=True, connected=True, allowGuestControl=True)
        controller = next((each.key for each in devices if isinstance(each, Device.VirtualSIOController)), None)
        if kind == "floppy":
            self._refuse(kind, uri=uri)
            backing: Any = Device.VirtualFloppy.RemoteDeviceBackingInfo(deviceName="")
            if file:
                backing = Device.VirtualFloppy.ImageBackingInfo(fileName=file)
            return Device.VirtualFloppy(key=-1, backing=backing, connectable=connectable, controllerKey=controller)
        if bool(file) == bool(uri):
            problem = SpecProblem("file", file or "missing", "either a file or a URI")
            raise InvalidSpecError("a serial port writes to a file or listens at a URI", problems=[problem])
        backing = Device.VirtualSerialPort.FileBackingInfo(fileName=file)
        if uri:
            backing = Device.VirtualSerialPort.URIBackingInfo(serviceURI=uri, direction="server")
        return Device.VirtualSerialPort(
            key=-1, backing=backing, connectable=connectable, yieldOnPoll=True, controllerKey=controller
        )

    def _refuse(self, kind: str, **given: str) -> None:
        for name, value in given.items():
            if value:
                problem = SpecProblem(name, value, f"nothing: a device {kind} has none")
                raise InvalidSpecError("an option that the device does not have", problems=[problem])


def _named(devices: Sequence[Any], vm: str, text: str) -> Any:
    """Return the device of a label or key. Raises DeviceNotFoundError."""
    for device in devices:
        if text in (_label(device), str(device.key)):
            return device
    names = ", ".join(_label(device) for device in devices)
    raise DeviceNotFoundError(f"{vm!r} has no device {text!r}", resource=vm, hint=f"it has: {names}")


def _label(device: Any) -> str:
    return str(device.deviceInfo.label if device.deviceInfo else device.key)


def _record(device: Any, labels: dict[int, str]) -> VMDevice:
    backing = device.backing
    return VMDevice(
        key=device.key,
        label=_label(device),
        kind=type(device).__name__.rpartition(".")[2].removeprefix("Virtual"),
        summary=str(device.deviceInfo.summary if device.deviceInfo else ""),
        controller=labels.get(device.controllerKey),
        connected=None if device.connectable is None else bool(device.connectable.connected),
        file=getattr(backing, "fileName", None) or None,
        provisioning=_provisioning(backing) if isinstance(device, Device.VirtualDisk) else None,
        mode=getattr(backing, "diskMode", None) or None,
        sharing=getattr(backing, "sharing", None) or None,
        lun=getattr(backing, "lunUuid", None) or None,
    )


def _provisioning(backing: Any) -> str:
    """Return thin, thick or eager; for a raw device mapping "rdm" and its mode."""
    if isinstance(backing, Device.VirtualDisk.RawDiskMappingVer1BackingInfo):
        return f"rdm-{'physical' if backing.compatibilityMode == 'physicalMode' else 'virtual'}"
    if getattr(backing, "thinProvisioned", None):
        return "thin"
    return "eager" if getattr(backing, "eagerlyScrub", None) else "thick"


__all__ = ["VSphereVMDevices"]
