"""One Python API for every hypervisor.

Example:
    >>> host = connect("sim://example")
    >>> vm = host.vms.create(VMSpec(name="web1", memory="1GiB", disks=[DiskSpec(size="5GiB")]))
    >>> vm.start().status
    'running'
    >>> host.close()
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from novacron.errors import NovaCronError
    from novacron.fleets import Fleet
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.jobs import Job
    from novacron.site import Site, connect, fleet
    from novacron.specs import (
        CloudInitSpec,
        DiskSpec,
        DisplaySpec,
        KernelSpec,
        MigrationSpec,
        NetworkSpec,
        NICSpec,
        SerialSpec,
        SnapshotSpec,
        StoragePoolSpec,
        VMQuery,
        VMSpec,
        VMUpdate,
        VolumeSpec,
    )

__version__ = "0.1.0"

_HOME = {
    "Fleet": "fleets",
    "HostHandle": "handles.host",
    "Job": "jobs",
    "NovaCronError": "errors",
    "VMHandle": "handles.vm",
    "Site": "site",
    "connect": "site",
    "fleet": "site",
} | dict.fromkeys(
    (
        "CloudInitSpec",
        "DiskSpec",
        "DisplaySpec",
        "KernelSpec",
        "MigrationSpec",
        "NICSpec",
        "NetworkSpec",
        "SerialSpec",
        "SnapshotSpec",
        "StoragePoolSpec",
        "VMQuery",
        "VMSpec",
        "VMUpdate",
        "VolumeSpec",
    ),
    "specs",
)


def load_ipython_extension(ipython: Any) -> None:
    """Load the names, displays and commands of the shell into IPython or a notebook, for `%load_ext novacron`.

    Raises:
        UnsupportedOperationError: the package novacron-shell is not installed.
    """
    for load in _notebook_loaders():
        load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Remove what `load_ipython_extension` added, and close the connections, for `%unload_ext novacron`."""
    if (loaded := getattr(ipython, "novacron_session", None)) is not None:
        loaded.unload()


def _notebook_loaders() -> list[Any]:
    """Return the functions that distributions register in the group `novacron.notebooks`; the shell registers one."""
    from importlib.metadata import entry_points

    from novacron.errors import UnsupportedOperationError

    found = [entry_point.load() for entry_point in entry_points(group="novacron.notebooks")]
    if not found:
        raise UnsupportedOperationError("novacron-shell is not installed", hint="pip install 'novacron[shell]'")
    return found


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    value = getattr(import_module(f"novacron.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "CloudInitSpec",
    "DiskSpec",
    "DisplaySpec",
    "Fleet",
    "HostHandle",
    "Job",
    "KernelSpec",
    "MigrationSpec",
    "NICSpec",
    "NetworkSpec",
    "NovaCronError",
    "SerialSpec",
    "Site",
    "SnapshotSpec",
    "StoragePoolSpec",
    "VMHandle",
    "VMQuery",
    "VMSpec",
    "VMUpdate",
    "VolumeSpec",
    "connect",
    "fleet",
]
