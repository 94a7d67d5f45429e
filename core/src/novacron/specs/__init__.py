"""What users ask for: validated input, one module per area, loaded when first used.

A bad spec raises `InvalidSpecError` that lists every bad field with its path, what was given and what is allowed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from novacron.specs.migration import MigrationSpec
    from novacron.specs.network import NetworkSpec, NICSpec, TrafficFilterSpec
    from novacron.specs.query import VMQuery
    from novacron.specs.resources import LimitsSpec
    from novacron.specs.snapshots import SnapshotSpec
    from novacron.specs.spec import Spec
    from novacron.specs.storage import DiskLimits, DiskSpec, StoragePoolSpec, VolumeSpec
    from novacron.specs.templates import TemplateSpec
    from novacron.specs.vm import CloudInitSpec, DisplaySpec, KernelSpec, SerialSpec, VMSpec, VMUpdate

_HOME = {
    "CloudInitSpec": "vm", "DiskLimits": "storage", "DiskSpec": "storage", "DisplaySpec": "vm", "KernelSpec": "vm",
    "LimitsSpec": "resources", "MigrationSpec": "migration", "NICSpec": "network", "NetworkSpec": "network",
    "SerialSpec": "vm", "SnapshotSpec": "snapshots", "Spec": "spec", "StoragePoolSpec": "storage",
    "TemplateSpec": "templates", "TrafficFilterSpec": "network", "VMQuery": "query", "VMSpec": "vm", "VMUpdate": "vm",
    "VolumeSpec": "storage",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"novacron.specs.{_HOME[name]}"), name)


__all__ = [
    "CloudInitSpec", "DiskLimits", "DiskSpec", "DisplaySpec", "KernelSpec", "LimitsSpec", "MigrationSpec", "NICSpec",
    "NetworkSpec", "SerialSpec", "SnapshotSpec", "Spec", "StoragePoolSpec", "TemplateSpec", "TrafficFilterSpec", "VMQuery",
    "VMSpec", "VMUpdate", "VolumeSpec",
]  # fmt: skip
