"""PCI devices of a node that a VM gets for itself (DirectPath I/O).

vSphere wants all of the memory of such a VM to be reserved (`memoryReservationLockedToMax`), because the device writes to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import DeviceNotFoundError
from novacron_vmware.errors import translated
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

Passthrough = vim.vm.device.VirtualPCIPassthrough


def passthrough(connection: VMwareConnection, node: Any, address: str, vm: str) -> Any:
    """Return the virtual device that gives a VM a PCI device of a node.

    Args:
        connection: where the node is.
        node: vSphere's node.
        address: the device's address, "0000:03:00.0".
        vm: the VM's name, for the error.

    Raises:
        DeviceNotFoundError: the node offers no such device for passthrough.
    """
    with translated(vm):
        parent = connection.read(node, ["parent"])["parent"]
        browser = connection.read(parent, ["environmentBrowser"])["environmentBrowser"]
        target = browser.QueryConfigTarget(node)
    offered = {each.pciDevice.id.lower(): each for each in (target.pciPassthrough if target else None) or ()}
    if (found := offered.get(address.lower())) is None:
        raise DeviceNotFoundError(
            f"the node offers no device {address!r} for passthrough",
            resource=vm,
            hint=f"it offers: {', '.join(sorted(offered)) or 'none; an administrator marks devices for it in the ESXi settings'}",
        )
    pci = found.pciDevice
    backing = Passthrough.DeviceBackingInfo(
        id=pci.id,
        deviceId=f"{pci.deviceId & 0xFFFF:x}",  # vSphere sends signed numbers
        systemId=found.systemId,
        vendorId=pci.vendorId,
        deviceName=pci.deviceName,
    )
    return Passthrough(backing=backing)


def address_of(device: Any) -> str:
    """Return the address of the node's device that a virtual device stands for; empty if vSphere chooses one at each start."""
    return str(getattr(device.backing, "id", "") or "").lower()


def passthroughs(devices: Sequence[Any]) -> dict[str, Any]:
    """Return the devices that a VM has for itself, by their addresses."""
    return {address_of(device): device for device in devices if isinstance(device, Passthrough) and address_of(device)}


__all__ = ["passthrough", "passthroughs"]
