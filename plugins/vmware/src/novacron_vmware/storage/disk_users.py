"""Finds the VMs that use a disk file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron_vmware.devices import places
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection


def users_of(connection: VMwareConnection, path: str, datacenter: Any = None) -> list[str]:
    """Return the names of the VMs and templates that have a disk file, or a child of it."""
    found = []
    for _, read in connection.collect(vim.VirtualMachine, ["name", "config.hardware.device"], datacenter):
        for _, device in places(read.get("config.hardware.device") or ()):
            backing = device.backing
            while backing is not None and getattr(backing, "fileName", None) != path:
                backing = getattr(backing, "parent", None)
            if backing is not None:
                found.append(read["name"])
                break
    return sorted(found)


def disk_files(config: Any) -> set[str]:
    """Return the paths of the disk files that a ConfigSpec adds to a VM."""
    devices = (change.device for change in config.deviceChange)
    return {
        str(path)
        for device in devices
        if isinstance(device, vim.vm.device.VirtualDisk) and (path := getattr(device.backing, "fileName", None))
    }


__all__ = ["disk_files", "users_of"]
