"""`novacron device`: PCI and USB devices of hosts, and which VM has them."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.bulk import Bulk, each_vm
from novacron_shell.confirm import yes_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, list_options, spec_options_with
from novacron_shell.output import Columns, show_many, show_one, tell

COLUMNS: Columns = {
    "kind": "kind",
    "address": "address",
    "id": "id",
    "product": "product",
    "driver": "driver",
    "VMs": "vms",
    "host": "host",
}
NODE: Columns = {"node": "node"}
"""Shown where a host has several nodes, which may have devices at the same address."""
WIDE: Columns = {"vendor": "vendor", "IOMMU group": "iommu_group"}
UUID_LENGTH = 36


@click.group("device", cls=CommandGroup)
def device() -> None:
    """Devices of a host that VMs get for themselves."""


@device.command("list")
@click.option("--pci", "kinds", flag_value="pci", help="Only PCI devices.")
@click.option("--usb", "kinds", flag_value="usb", help="Only USB devices.")
@list_options
def list_(settings: Settings, kinds: str | None) -> None:
    """List the PCI and USB devices of the hosts, and which VMs have them."""
    found = [each for each in settings.gather("device_list") if kinds in (None, each.kind)]
    several = len({(each.host, each.node) for each in found}) > len({each.host for each in found})
    columns, wide = ({**COLUMNS, **NODE}, WIDE) if several else (COLUMNS, {**WIDE, **NODE})
    show_many(found, columns, settings.output, wide=wide)


@device.command("attach")
@each_vm
@spec_options_with("device")
def attach(bulk: Bulk, fields: dict[str, Any]) -> None:
    """Attach DEVICE to VM: a PCI address, vendor and product of a USB device, or the UUID of a mediated device.

    novacron device attach web1 03:00.0; pci=03:00.0, usb=046d:c52b and mdev=UUID say the kind.
    """
    if device := fields.pop("device", None):
        fields["mdev" if len(device) == UUID_LENGTH else "pci" if "." in device else "usb"] = device
    bulk.do("attach a device", lambda vm: vm.host_devices.attach(**fields), _said)


@device.command("detach")
@each_vm
@click.argument("device")
@yes_option
def detach(bulk: Bulk, device: str, yes: bool) -> None:
    """Detach DEVICE from VM: a PCI address, vendor and product of a USB device, or the UUID of a mediated device."""
    bulk.confirm(f"detach the device {device} from {{vms}}", yes=yes)
    bulk.do("detach a device", lambda vm: vm.host_devices.detach(device), _said)


def _said(vm: Any, output: str) -> None:
    if output in ("table", "wide"):
        tell(f"{vm.name} has " + (", ".join(each.address for each in vm.host_devices.list()) or "no device of its host"))
    else:
        show_one(vm.record, output)


COMMANDS = {"device": device}
