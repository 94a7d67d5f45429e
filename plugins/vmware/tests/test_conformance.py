"""The suite against a vCenter and a standalone ESXi."""

from __future__ import annotations

import pytest

from novacron import DiskSpec, VMSpec, connect
from novacron.testing import Target
from novacron.testing.conformance import *  # noqa: F403


@pytest.fixture(scope="session", params=["vcenter", "esxi"])
def novacron_target(request):
    """A datacenter of four nodes with VMs of its own, and an ESXi."""
    simulator = request.getfixturevalue(request.param)
    uri = simulator.uri(path="/DC0") if request.param == "vcenter" else simulator.uri("esx")
    with connect(uri, name=request.param, password=simulator.password) as host:
        yield Target(host, new_vm=lambda name: VMSpec(name=name, memory="64MiB"), disk=DiskSpec(size="16MiB"))
