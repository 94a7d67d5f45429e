"""The section <devices> of a new VM: what the functions of all kinds of devices return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from novacron_kvm.xml.devices.controllers import controllers_xml
from novacron_kvm.xml.devices.disk import DiskFile, disk_xml
from novacron_kvm.xml.devices.display import display_xml
from novacron_kvm.xml.devices.filesystem import filesystem_xml
from novacron_kvm.xml.devices.hostdevice import hostdevice_xml
from novacron_kvm.xml.devices.nic import nic_xml
from novacron_kvm.xml.devices.ports import ports_xml
from novacron_kvm.xml.devices.services import services_xml
from novacron_kvm.xml.markup import Markup, element
from novacron_kvm.xml.platforms import Platform

if TYPE_CHECKING:
    from novacron.specs.vm import VMSpec


def devices_xml(spec: VMSpec, platform: Platform, disks: Sequence[DiskFile]) -> Markup:
    """Return the <devices> of a new VM."""
    return element(
        "devices",
        *(disk_xml(disk) for disk in disks),
        controllers_xml(spec, platform, disks),
        *(filesystem_xml(filesystem) for filesystem in spec.filesystems),
        *(nic_xml(nic) for nic in spec.nics),
        ports_xml(spec),
        display_xml(spec, platform),
        *(hostdevice_xml(device, platform) for device in spec.host_devices),
        services_xml(spec, platform),
    )


__all__ = ["devices_xml"]
