"""PCI devices of the nodes, and passthrough to VMs. vSphere lists no USB devices of a node."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from novacron.errors import AlreadyExistsError, DeviceNotFoundError, ResourceAllocationError
from novacron.plugins import hookimpl
from novacron.records.devices import HostDevice
from novacron.records.vm import VM
from novacron_vmware.errors import translated
from novacron_vmware.lifecycle.passthrough import passthrough, passthroughs
from novacron_vmware.names import plain_name
from novacron_vmware.reconfiguring import DEVICES, SameDevice, reconfigure_vm
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron.specs.devices import HostDeviceSpec

OWNERS = ["name", "runtime.host", "runtime.powerState", "config.hardware.device"]


class VMwareDevices(VMOperations):
    """Lists PCI devices with the VMs that have them by passthrough; gives them to VMs."""

    @hookimpl
    def device_list(self) -> list[HostDevice]:
        """List the PCI devices of each node."""
        owners = self._owners()
        found = [
            self._record(plain_name(read["name"]), device, owners)
            for _, read in self._connection.collect(vim.HostSystem, ["name", "hardware.pciDevice"])
            for device in read.get("hardware.pciDevice") or ()
        ]
        return sorted(found, key=lambda device: (device.kind, device.node, device.address))

    @hookimpl
    def device_attach(self, vm: str, spec: HostDeviceSpec) -> VM:
        """Give a stopped VM a PCI device of the node that it is on. All of its memory is reserved from then on, as vSphere wants."""
        thing, record = self._changing(vm, "attach a device to", "stopped")
        address = str(spec.pci).lower()
        if address in passthroughs(self._devices(thing)):
            raise _has_it(record.name, address)
        owners = self._owners(running=True).get((record.node or "", address))
        if owners:
            text = f"the running VM {min(owners)!r} has the device {address!r}"
            raise ResourceAllocationError(text, resource=record.name, hint="stop that VM, or detach the device there first")
        device = passthrough(self._connection, self._connection.read(thing, ["runtime.host"])["runtime.host"], address, vm)
        device.key = -1

        def addition(read: dict[str, Any]) -> Any:
            if address in passthroughs(read.get(DEVICES) or ()):  # another client was quicker
                raise _has_it(record.name, address)
            change = vim.vm.device.VirtualDeviceSpec(operation="add", device=device)
            return vim.vm.ConfigSpec(deviceChange=[change], memoryReservationLockedToMax=True)

        with translated(record.name):
            reconfigure_vm(self._connection, thing, record.name, [DEVICES], addition)
        return self._read(thing)

    @hookimpl
    def device_detach(self, vm: str, device: str) -> VM:
        """Take a PCI device from a stopped VM. Its memory stays reserved."""
        thing, record = self._changing(vm, "detach a device from", "stopped")
        same = SameDevice(device, record.name)

        def removal(read: dict[str, Any]) -> Any:
            present = passthroughs(read.get(DEVICES) or ())
            if device.lower() not in present:
                has = ", ".join(sorted(present)) or "none"
                text = f"{record.name!r} has no device {device!r}"
                raise DeviceNotFoundError(text, resource=record.name, hint=f"it has: {has}")
            found = same(present[device.lower()])
            return vim.vm.ConfigSpec(deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="remove", device=found)])

        with translated(record.name):
            reconfigure_vm(self._connection, thing, record.name, [DEVICES], removal)
        return self._read(thing)

    def _record(self, node: str, device: Any, owners: dict[tuple[str, str], set[str]]) -> HostDevice:
        return HostDevice(
            kind="pci",
            address=device.id,
            id=f"{device.vendorId & 0xFFFF:04x}:{device.deviceId & 0xFFFF:04x}",  # vSphere sends signed numbers
            host=self._connection.name,
            node=node,
            vendor=device.vendorName or None,
            product=device.deviceName or None,
            vms=tuple(sorted(owners.get((node, device.id.lower()), ()))),
        )

    def _owners(self, *, running: bool = False) -> dict[tuple[str, str], set[str]]:
        """Return the names of the VMs, or of the running ones, that have each device, by node and address."""
        owners: dict[tuple[str, str], set[str]] = defaultdict(set)
        for _, read in self._connection.collect(vim.VirtualMachine, OWNERS):
            if running and read.get("runtime.powerState") != "poweredOn":
                continue
            for address in passthroughs(read.get("config.hardware.device") or ()):
                node = self._connection.inventory.node_name(read.get("runtime.host")) or ""
                owners[node, address].add(plain_name(read["name"]))
        return owners


def _has_it(vm: str, address: str) -> AlreadyExistsError:
    return AlreadyExistsError(f"{vm!r} has the device {address!r} already", resource=vm)


__all__ = ["VMwareDevices"]
