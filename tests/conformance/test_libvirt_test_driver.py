"""The suite against libvirt's built-in test driver: real libvirt, an invented hypervisor."""

from __future__ import annotations

import pytest

from novacron import DiskSpec, VMSpec, connect
from novacron.testing import Target
from novacron.testing.conformance import *  # noqa: F403

UNNAMED = (
    *(f"DiskLimits.{kind}_{what}" for kind in ("read", "write", "total") for what in ("bytes_per_second", "iops")),
    "CloudInitSpec.network_config",
    "CloudInitSpec.ssh_keys",
    "CloudInitSpec.user_data",
    "CloudInitSpec.hostname",
    "LimitsSpec.disks",
    "SnapshotSpec.kind",
    "VMSpec.cloud_init",
    "VolumeSpec.preallocate",
)
"""The test driver lacks these features, and a pool named "default"; libvirt's errors do not name NovaCron's fields."""

KNOWN_DEFECTS: dict[str, str] = {}


@pytest.fixture(scope="session")
def novacron_target():
    """A host of its own in this process; it has pools, networks and one running VM."""
    with connect("test:///default", name="testdriver") as host:
        yield Target(
            host,
            new_vm=lambda name: VMSpec(name=name, memory="64MiB"),
            can_boot=True,
            boot_guest=lambda name: host.vms.create(name=name, memory="64MiB", start=True),
            disk=DiskSpec(size="16MiB", pool="default-pool"),
            pool="default-pool",
            network="default",
            unnamed=UNNAMED,
        )
