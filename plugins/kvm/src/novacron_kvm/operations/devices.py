"""Devices of the host that VMs get for themselves."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import AlreadyExistsError, DeviceNotFoundError, ResourceAllocationError
from novacron.plugins import hookimpl
from novacron.records.devices import HostDevice
from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domain_capabilities import refuse_host_device
from novacron_kvm.domains.devices import plug, unplug
from novacron_kvm.domains.states import refuse_saved
from novacron_kvm.errors import translated
from novacron_kvm.inventory.lists import still_there
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.xml.devices.hostdevice import hostdevice_xml
from novacron_kvm.xml.node_devices import host_devices, node_device
from novacron_kvm.xml.parsing import parse
from novacron_kvm.xml.platforms import platform
from novacron_kvm.xml.reading import machine_of

if TYPE_CHECKING:
    from novacron.specs.devices import HostDeviceSpec

KINDS = libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV | libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_DEV


class KVMDevices:
    """Lists the PCI and USB devices of a host, and gives them to VMs."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def device_list(self) -> list[HostDevice]:
        """List what libvirt's node devices are, with the VMs that have them by their definition."""
        with translated():
            found = _node_devices(self._connection.read)
            owners = self._owners(self._connection.read)
        records = [
            HostDevice(
                host=self._connection.name,
                node=self._connection.node,
                vms=tuple(sorted(owners.get(each["address"], set()) | owners.get(_key(each), set()))),
                **each,
            )
            for each in found
        ]
        return sorted(records, key=lambda device: (device.kind, device.address))

    @hookimpl
    def device_attach(self, vm: str, spec: HostDeviceSpec) -> VM:
        """Plug in a device; libvirt takes a PCI device from its driver, and gives it back afterwards."""
        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "attach a device to")
            root, name = parse(domain.XMLDesc(0)), str(spec.pci or spec.usb or spec.mdev).lower()
            if name in dict(host_devices(root)):
                raise AlreadyExistsError(f"{domain.name()!r} has the device {name!r} already", resource=domain.name())
            refuse_host_device(conn, root, spec)
            if spec.mdev is None and name not in {_key(each) for each in _node_devices(conn)}:
                hint = "`novacron device list` shows the devices"
                raise DeviceNotFoundError(f"the host has no device {name!r}", resource=domain.name(), hint=hint)
            users = self._owners(conn, libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE).get(name)
            if users:
                text = f"the running VM {min(users)!r} has the device {name!r}"
                raise ResourceAllocationError(text, resource=domain.name(), hint="detach it there first")
            plug(domain, parse(hostdevice_xml(spec, platform(*machine_of(root)))))
            return vm_record(self._connection, domain)

    @hookimpl
    def device_detach(self, vm: str, device: str) -> VM:
        """Unplug a device."""
        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "detach a device from")
            present = dict(host_devices(parse(domain.XMLDesc(0))))
            if domain.isActive() and domain.isPersistent():
                present |= dict(host_devices(parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))))
            if device.lower() not in present:
                has = ", ".join(present) or "none"
                text = f"{domain.name()!r} has no device {device!r}"
                raise DeviceNotFoundError(text, resource=domain.name(), hint=f"it has: {has}")
            unplug(domain, lambda root: dict(host_devices(root)).get(device.lower()), f"the device {device!r}")
            return vm_record(self._connection, domain)

    def _owners(self, connection: Any, flags: int = 0) -> dict[str, set[str]]:
        """Return the names of the VMs that have each device."""
        owners: dict[str, set[str]] = defaultdict(set)
        read = still_there(connection.listAllDomains(flags), lambda domain: (domain.name(), domain.XMLDesc(0)))
        for name, text in read:
            if "<hostdev" in text:
                for device, _ in host_devices(parse(text)):
                    owners[device].add(name)
        return owners


def _node_devices(connection: Any) -> list[dict[str, Any]]:
    texts = still_there(connection.listAllDevices(KINDS), lambda device: device.XMLDesc(0))
    return [found for text in texts if (found := node_device(parse(text))) is not None]


def _key(device: dict[str, Any]) -> str:
    """Return the name by which VMs have a device."""
    return str(device["address"] if device["kind"] == "pci" else device["id"])


__all__ = ["KVMDevices"]
