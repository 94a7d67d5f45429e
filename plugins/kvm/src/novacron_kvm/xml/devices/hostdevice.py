"""Devices of the host that a VM gets for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron_kvm.xml.markup import NOTHING, Markup, element
from novacron_kvm.xml.platforms import Platform

if TYPE_CHECKING:
    from novacron.specs.devices import HostDeviceSpec


def hostdevice_xml(spec: HostDeviceSpec, platform: Platform) -> Markup:
    """Return a <hostdev>; the host's driver releases a PCI device when the VM starts, and gets it back afterwards."""
    boot = element("boot", order=spec.boot_order) if spec.boot_order else NOTHING
    if spec.pci:
        domain, bus, rest = spec.pci.split(":")
        slot, _, function = rest.partition(".")
        where = {"domain": domain, "bus": bus, "slot": slot, "function": function}
        source = element("address", **{name: f"0x{number}" for name, number in where.items()})
        return element("hostdev", element("source", source), boot, mode="subsystem", type="pci", managed="yes")
    if spec.usb:
        vendor, _, product = spec.usb.partition(":")
        named = (element("vendor", id=f"0x{vendor}"), element("product", id=f"0x{product}"))
        return element("hostdev", element("source", *named), boot, mode="subsystem", type="usb", managed="yes")
    source = element("address", uuid=spec.mdev)
    return element("hostdev", element("source", source), boot, mode="subsystem", type="mdev", model=platform.mdev)


__all__ = ["hostdevice_xml"]
