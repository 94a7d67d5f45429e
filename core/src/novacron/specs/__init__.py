"""What users ask for: validated input, one module per area, loaded when first used.

A bad spec raises `InvalidSpecError` that lists every bad field with its path, what was given and what is allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.lazy_names import lazy_names

if TYPE_CHECKING:
    from novacron.specs.appliances import ApplianceSpec
    from novacron.specs.cloud_init import CloudInitSpec
    from novacron.specs.devices import ChannelSpec, DisplaySpec, FilesystemSpec, HostDeviceSpec, SerialSpec
    from novacron.specs.disks import DiskLimits, DiskSpec
    from novacron.specs.filters import FilterRule, TrafficFilterSpec
    from novacron.specs.hardware import (
        CPUTopology,
        FeaturesSpec,
        LaunchSecuritySpec,
        MemoryBackingSpec,
        NUMANodeSpec,
        SecurityLabelSpec,
    )
    from novacron.specs.migration import MigrationSpec
    from novacron.specs.networks import DHCPHostSpec, DNSHostSpec, NetworkSpec, PortGroupSpec
    from novacron.specs.nics import NICSpec, NICUpdate
    from novacron.specs.pools import StoragePoolSpec
    from novacron.specs.query import VMQuery
    from novacron.specs.resources import DeviceLimits, LimitsSpec, NICLimits
    from novacron.specs.snapshots import SnapshotSpec
    from novacron.specs.spec import Spec
    from novacron.specs.templates import TemplateSpec
    from novacron.specs.vm import KernelSpec, VMSpec, VMUpdate
    from novacron.specs.volumes import VolumeSpec

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "appliances": "ApplianceSpec",
        "cloud_init": "CloudInitSpec",
        "devices": "ChannelSpec DisplaySpec FilesystemSpec HostDeviceSpec SerialSpec",
        "disks": "DiskLimits DiskSpec",
        "filters": "FilterRule TrafficFilterSpec",
        "hardware": "CPUTopology FeaturesSpec LaunchSecuritySpec MemoryBackingSpec NUMANodeSpec SecurityLabelSpec",
        "vm": "KernelSpec VMSpec VMUpdate",
        "migration": "MigrationSpec",
        "networks": "DHCPHostSpec DNSHostSpec NetworkSpec PortGroupSpec",
        "nics": "NICSpec NICUpdate",
        "pools": "StoragePoolSpec",
        "query": "VMQuery",
        "resources": "DeviceLimits LimitsSpec NICLimits",
        "snapshots": "SnapshotSpec",
        "spec": "Spec",
        "templates": "TemplateSpec",
        "volumes": "VolumeSpec",
    },
)

__all__ = [
    "ApplianceSpec",
    "CPUTopology",
    "ChannelSpec",
    "CloudInitSpec",
    "DHCPHostSpec",
    "DNSHostSpec",
    "DeviceLimits",
    "DiskLimits",
    "DiskSpec",
    "DisplaySpec",
    "FeaturesSpec",
    "FilesystemSpec",
    "FilterRule",
    "HostDeviceSpec",
    "KernelSpec",
    "LaunchSecuritySpec",
    "LimitsSpec",
    "MemoryBackingSpec",
    "MigrationSpec",
    "NICLimits",
    "NICSpec",
    "NICUpdate",
    "NUMANodeSpec",
    "NetworkSpec",
    "PortGroupSpec",
    "SecurityLabelSpec",
    "SerialSpec",
    "SnapshotSpec",
    "Spec",
    "StoragePoolSpec",
    "TemplateSpec",
    "TrafficFilterSpec",
    "VMQuery",
    "VMSpec",
    "VMUpdate",
    "VolumeSpec",
]
