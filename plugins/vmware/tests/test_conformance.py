"""The suite against a vCenter and a standalone ESXi."""

from __future__ import annotations

import pytest

from novacron import DiskSpec, VMSpec, connect
from novacron.testing import Target
from novacron.testing.conformance import *  # noqa: F403
from novacron_lab.vcenter import VCenter


@pytest.fixture(scope="session", params=["vcenter", "esxi"])
def novacron_target(request):
    """A datacenter of four nodes with VMs of its own, and another one; and an ESXi."""
    if request.param == "esxi":
        simulator = request.getfixturevalue("esxi")
        with connect(simulator.uri("esx"), name="esxi", password=simulator.password) as host:
            yield Target(host, new_vm=small, disk=DiskSpec(size="16MiB"), pool="LocalDS_0", network="VM Network")
        return
    with (
        VCenter("-datacenters", "2") as vcenter,
        connect(vcenter.uri(path="/DC0"), name="vcenter", password=vcenter.password) as host,
        connect(vcenter.uri(path="/DC1"), name="other", password=vcenter.password) as other,
    ):
        yield Target(host, new_vm=small, disk=DiskSpec(size="16MiB"), pool="LocalDS_0", network="VM Network", other=other)


def small(name):
    return VMSpec(name=name, memory="64MiB")
