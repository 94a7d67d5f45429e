"""The suite against the simulator: the reference implementation offers everything and is skipped nowhere."""

from __future__ import annotations

import pytest

from novacron import DiskSpec, VMSpec, connect
from novacron.testing import Target
from novacron.testing.conformance import *  # noqa: F403

KNOWN_DEFECTS: dict[str, str] = {}


@pytest.fixture(scope="session")
def novacron_target():
    """A simulated host of its own."""
    with connect("sim://conform") as host, connect("sim://conform-other") as other:
        yield Target(
            host,
            new_vm=lambda name: VMSpec(name=name, memory="64MiB"),
            can_boot=True,
            boot_guest=lambda name: host.vms.create(name=name, memory="64MiB", start=True),
            disk=DiskSpec(size="16MiB"),
            network="default",
            other=other,
        )
