"""Simulated vCenters and ESXi, one of each for the session, and more on demand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import novacron
from novacron.site import default_site
from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter

SCENE_NAMES = {"esx1": "DC0_C0_H0", "esx2": "DC0_C0_H1", "esx3": "DC0_C0_H2", "SSD1": "LocalDS_0", "SSD2": "LocalDS_1"}
"""What the simulator calls the nodes and datastores of the table. It can't rename them."""
SCENE_WORLD = """
object.rename /DC0/host/DC0_C0 rack1
dvs.portgroup.add -dvs DVS0 prod
dvs.portgroup.add -dvs DVS0 idle
dvs.create spare
cluster.create empty
cluster.change -drs-enabled rack1
pool.create rack1/Resources/silver
folder.create -pod /DC0/datastore/pod
host.portgroup.add -host DC0_C0_H0 -vswitch vSwitch0 plain
role.create viewer System.View
permissions.set -principal LAB\\\\bob -role viewer /DC0/vm
datastore.mkdir -ds SSD1 iso
datastore.mkdir -ds SSD2 iso
datastore.mkdir -ds SSD1 data
datastore.disk.create -ds SSD1 -size 1GiB data/data.vmdk
datastore.upload -ds SSD1 a.iso iso/a.iso
library.create -ds SSD1 images
tags.category.create env
tags.create -c env prod
"""
SCENE_VMS = """
folder.create /DC0/vm/prod
vm.create -on=false -ds SSD1 -disk 1GiB -disk.controller pvscsi -net prod -net.adapter vmxnet3 -host esx1 -force web1
device.floppy.add -vm web1
snapshot.create -vm web1 base
vm.create -on=true -ds SSD1 -disk 1GiB -disk.controller pvscsi -net prod -net.adapter vmxnet3 -host esx1 -force web2
cluster.group.create -cluster rack1 -name all -vm web1 web2
cluster.rule.create -cluster rack1 -name together -enable -affinity web1 web2
"""
"""The objects that the table of commands names, and its VMs, as govc makes them."""


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


@pytest.fixture(scope="session")
def command_scene():
    """What the rows of docs/vsphere-commands.csv are run on: `world` and `vms` are lines for govc, `named` gives the simulator's names."""

    def named(line: str) -> str:
        for ours, theirs in SCENE_NAMES.items():
            line = line.replace(ours, theirs)
        return line

    return SimpleNamespace(world=SCENE_WORLD, vms=SCENE_VMS, named=named)
