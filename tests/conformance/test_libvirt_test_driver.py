"""The suite against libvirt's built-in test driver: real libvirt, an invented hypervisor."""

from __future__ import annotations

import pytest

from novacron import DiskSpec, VMSpec, connect
from novacron.testing import Target
from novacron.testing.conformance import *  # noqa: F403

KNOWN_DEFECTS: dict[str, str] = {}


@pytest.fixture(scope="session")
def novacron_target():
    """A host of its own in this process; it has pools, networks and one running VM."""
    with connect("test:///default", name="testdriver") as host:
        yield Target(
            host,
            new_vm=lambda name: VMSpec(name=name, memory="64MiB"),
            can_boot=True,
            disk=DiskSpec(size="16MiB", pool="default-pool"),
            pool="default-pool",
            network="default",
        )
