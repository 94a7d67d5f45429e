"""What users ask for: validated input, one module per area, loaded when first used.

A bad spec raises `InvalidSpecError` that lists every bad field with its path, what was given and what is allowed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from novacron.specs.appliances import ApplianceSpec
    from novacron.specs.devices import ChannelSpec, DisplaySpec, FilesystemSpec, HostDeviceSpec, SerialSpec
    from novacron.specs.hardware import CPUTopology, FeaturesSpec, LaunchSecuritySpec, MemoryBackingSpec, NUMANodeSpec
    from novacron.specs.migration import MigrationSpec
    from novacron.specs.network import (
        DHCPHostSpec,
        DNSHostSpec,
        FilterRule,
        NetworkSpec,
        NICSpec,
        PortGroupSpec,
        TrafficFilterSpec,
    )
    from novacron.specs.query import VMQuery
    from novacron.specs.resources import DeviceLimits, LimitsSpec, NICLimits
    from novacron.specs.snapshots import SnapshotSpec
    from novacron.specs.spec import Spec
    from novacron.specs.storage import DiskLimits, DiskSpec, StoragePoolSpec, VolumeSpec
    from novacron.specs.templates import TemplateSpec
    from novacron.specs.vm import CloudInitSpec, KernelSpec, VMSpec, VMUpdate

_HOMES = {
    "appliances": "ApplianceSpec",
    "devices": "ChannelSpec DisplaySpec FilesystemSpec HostDeviceSpec SerialSpec",
    "hardware": "CPUTopology FeaturesSpec LaunchSecuritySpec MemoryBackingSpec NUMANodeSpec",
    "migration": "MigrationSpec",
    "network": "DHCPHostSpec DNSHostSpec FilterRule NICSpec NetworkSpec PortGroupSpec TrafficFilterSpec",
    "query": "VMQuery",
    "resources": "DeviceLimits LimitsSpec NICLimits",
    "snapshots": "SnapshotSpec",
    "spec": "Spec",
    "storage": "DiskLimits DiskSpec StoragePoolSpec VolumeSpec",
    "templates": "TemplateSpec",
    "vm": "CloudInitSpec KernelSpec VMSpec VMUpdate",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"novacron.specs.{_HOME[name]}"), name)


__all__ = [
    "ApplianceSpec", "CPUTopology", "ChannelSpec", "CloudInitSpec", "DHCPHostSpec", "DNSHostSpec", "DeviceLimits", "DiskLimits",
    "DiskSpec", "DisplaySpec", "FeaturesSpec", "FilesystemSpec", "FilterRule", "HostDeviceSpec", "KernelSpec",
    "LaunchSecuritySpec", "LimitsSpec", "MemoryBackingSpec", "MigrationSpec", "NICLimits", "NICSpec", "NUMANodeSpec",
    "NetworkSpec", "PortGroupSpec", "SerialSpec", "SnapshotSpec", "Spec", "StoragePoolSpec", "TemplateSpec", "TrafficFilterSpec",
    "VMQuery", "VMSpec", "VMUpdate", "VolumeSpec",
]  # fmt: skip
