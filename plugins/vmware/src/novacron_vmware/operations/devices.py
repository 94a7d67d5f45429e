"""PCI devices of the nodes. vSphere lists no USB devices of a node."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from novacron.plugins import hookimpl
from novacron.records.devices import HostDevice
from novacron_vmware.names import plain_name
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations


class VMwareDevices(VMOperations):
    """Lists PCI devices with the VMs that have them by passthrough."""

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

    def _record(self, node: str, device: Any, owners: dict[tuple[str, str], set[str]]) -> HostDevice:
        return HostDevice(
            kind="pci",
            address=device.id,
            id=f"{device.vendorId & 0xFFFF:04x}:{device.deviceId & 0xFFFF:04x}",  # vSphere sends signed numbers
            host=self._connection.name,
            node=node,
            vendor=device.vendorName or None,
            product=device.deviceName or None,
            vms=tuple(sorted(owners.get((node, device.id), ()))),
        )

    def _owners(self) -> dict[tuple[str, str], set[str]]:
        """Return the names of the VMs that have each device, by node and address."""
        owners: dict[tuple[str, str], set[str]] = defaultdict(set)
        for _, read in self._connection.collect(vim.VirtualMachine, ["name", "runtime.host", "config.hardware.device"]):
            for device in read.get("config.hardware.device") or ():
                if isinstance(device, vim.vm.device.VirtualPCIPassthrough):
                    node = self._connection.inventory.node_name(read.get("runtime.host")) or ""
                    owners[node, getattr(device.backing, "id", "")].add(plain_name(read["name"]))
        return owners


__all__ = ["VMwareDevices"]
