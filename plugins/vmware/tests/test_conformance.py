"""The suite against a vCenter simulator."""

from __future__ import annotations

import pytest

from novacron import DiskSpec, VMSpec, connect
from novacron.testing import Target
from novacron.testing.conformance import *  # noqa: F403


@pytest.fixture(scope="session")
def novacron_target(vcenter):
    """One datacenter of four nodes; it has VMs of its own."""
    with connect(vcenter.uri(path="/DC0"), name="vcsim", password=vcenter.password) as host:
        yield Target(host, new_vm=lambda name: VMSpec(name=name, memory="64MiB"), disk=DiskSpec(size="16MiB"))
