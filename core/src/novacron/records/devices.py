"""Devices of hosts that VMs can get for themselves."""

from __future__ import annotations

from typing import Literal

from novacron.records.record import Record


class HostDevice(Record, frozen=True):
    """A PCI or USB device of a host.

    Attributes:
        kind: "pci" or "usb".
        address: "0000:03:00.0" of a PCI device; bus and device number of a USB device, "001:004".
        id: Vendor and product in hexadecimal digits, "046d:c52b". Two devices of the same model have the same id.
        host: Name of the host.
        node: Physical machine that the device is in; None if the host has one machine only.
        vendor: Name of the vendor; None if it is not known.
        product: Name of the product; None if it is not known.
        driver: Kernel driver of the host that uses the device; None if there is none.
        iommu_group: Number of its IOMMU group; None if the host has no IOMMU in use. All devices of a group go to the same VM.
        vms: Names of the VMs that have it, sorted.
    """

    kind: Literal["pci", "usb"]
    address: str
    id: str
    host: str
    node: str | None = None
    vendor: str | None = None
    product: str | None = None
    driver: str | None = None
    iommu_group: int | None = None
    vms: tuple[str, ...] = ()


__all__ = ["HostDevice"]
