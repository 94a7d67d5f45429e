"""Reads libvirt's node devices, and the <hostdev> elements of VMs by the names that users give the devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from novacron_kvm.xml.parsing import text_of


def node_device(root: Any) -> dict[str, Any] | None:
    """Return the fields of a `HostDevice` record that a <device> says; None for one that is no PCI or USB device.

    Example:
        >>> from novacron_kvm.xml.parsing import parse
        >>> node_device(parse("<device><capability type='usb_device'><bus>1</bus><device>4</device>"
        ...     "<product id='0xc52b'>Receiver</product><vendor id='0x046d'/></capability></device>"))["address"]
        '001:004'
    """
    capability = root.find("capability")
    kind = None if capability is None else {"pci": "pci", "usb_device": "usb"}.get(capability.get("type"))
    if kind is None:
        return None
    if kind == "pci":
        address = "{:04x}:{:02x}:{:02x}.{:x}".format(*_numbers(capability, "domain", "bus", "slot", "function"))
    else:
        address = "{:03d}:{:03d}".format(*_numbers(capability, "bus", "device"))
    group = text_of(capability, "iommuGroup/@number")
    return {
        "kind": kind,
        "address": address,
        "id": f"{_hex(capability, 'vendor')}:{_hex(capability, 'product')}",
        "vendor": text_of(capability, "vendor") or None,
        "product": text_of(capability, "product") or None,
        "driver": text_of(root, "driver/name") or None,
        "iommu_group": int(group) if group else None,
    }


def host_devices(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield each <hostdev> of a VM with the name of its device: PCI address, vendor and product of a USB device, UUID of a mediated one.

    Example:
        >>> from novacron_kvm.xml.parsing import parse
        >>> [name for name, _ in host_devices(parse("<domain><devices><hostdev type='pci'><source><address domain='0x0000' bus='0x03'"
        ...     " slot='0x00' function='0x1'/></source></hostdev></devices></domain>"))]
        ['0000:03:00.1']
    """
    for device in root.iterfind("devices/hostdev"):
        source, address = device.find("source"), device.find("source/address")
        if device.get("type") == "usb" and source is not None and source.find("vendor") is not None:
            yield f"{_hex(source, 'vendor')}:{_hex(source, 'product')}", device
        elif device.get("type") == "usb" and address is not None:
            yield f"{int(address.get('bus', '0'), 0):03d}:{int(address.get('device', '0'), 0):03d}", device
        elif device.get("type") == "pci" and address is not None:
            parts = [int(address.get(name, "0"), 0) for name in ("domain", "bus", "slot", "function")]
            yield "{:04x}:{:02x}:{:02x}.{:x}".format(*parts), device
        elif device.get("type") == "mdev" and address is not None:
            yield (address.get("uuid") or "").lower(), device


def _numbers(parent: Any, *names: str) -> list[int]:
    return [int(text_of(parent, name) or "0", 0) for name in names]


def _hex(parent: Any, name: str) -> str:
    return f"{int(text_of(parent, f'{name}/@id') or '0', 16):04x}"


__all__ = ["host_devices", "node_device"]
