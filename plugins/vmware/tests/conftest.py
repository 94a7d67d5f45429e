"""Simulated vCenters and ESXi, one of each for the session, and more on demand."""

from __future__ import annotations

import pytest

import novacron
from novacron.site import default_site
from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter


@pytest.fixture(scope="session", autouse=True)
def schemes():
    """Both schemes are served, whichever of them the installed metadata names."""
    from novacron_vmware.plugin import provider

    default_site().drivers.register(provider)
    yield
    default_site().drivers.unregister(provider)


@pytest.fixture(scope="session")
def vcenter():
    """One datacenter: a cluster of three nodes and a node alone, two datastores, four running VMs."""
    with VCenter() as vcenter:
        yield vcenter


@pytest.fixture
def simulator():
    """Starts further simulators, which end with the test."""
    started = []

    def start(*flags: str, port: int = 0) -> VCenter:
        started.append(VCenter(*flags, port=port))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def esxi():
    """An ESXi without a vCenter."""
    with VCenter("-esx") as esxi:
        yield esxi


@pytest.fixture(scope="module")
def host(vcenter):
    """The simulator's one datacenter."""
    with novacron.connect(vcenter.uri(path="/DC0"), name="vc", password=vcenter.password) as host:
        yield host


@pytest.fixture(scope="module")
def govc(vcenter):
    """govc at the module's simulator, as an independent witness."""
    return Govc(vcenter)


@pytest.fixture
def create(host):
    """Create small VMs on the module's host; they are deleted after the test."""
    created = []

    def create(name, **fields):
        created.append(host.vms.create(name=name, memory="64MiB", **fields))
        return created[-1]

    yield create
    for vm in created:
        vm.delete(force=True)
