"""Simulated vCenters and ESXi, one of each for the session, and more on demand."""

from __future__ import annotations

import json
import shlex
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import novacron
from novacron.site import default_site
from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter
from novacron_shell.cli import cli

SCENE_NAMES = {
    "esx1": "DC0_C0_H0",
    "esx2": "DC0_C0_H1",
    "esx3": "DC0_C0_H2",
    "SSD1": "LocalDS_0",
    "SSD2": "LocalDS_1",
    "shop": "DC0_C0_APP0",
}
"""What the simulator calls the nodes, datastores and the vApp of the table. It can't rename them."""
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
SCENE_MORE = """
vm.create -on=false -c 3 -m 256 -ds SSD2 -net idle -folder /DC0/vm/prod -host esx2 web4
cluster.group.create -cluster rack1 -name nodes -host esx1 esx2
vm.create -on=false -ds SSD1 -net prod -host esx2 -force gone
vm.unregister gone
tags.attach prod /DC0/vm/web1
library.import -n iso images a.iso
cluster.change -drs-mode manual rack1
pool.change -cpu.limit 4000 -cpu.shares high -mem.reservation 64 rack1/Resources/silver
host.portgroup.change -host esx1 -allow-promiscuous plain
dvs.portgroup.change -vlan 77 idle
dvs.portgroup.change -vlan 12 prod
permissions.set -principal LAB\\\\ann -group -propagate=false -role ReadOnly /DC0/vm
event.post -s warning -i vcsim.vm.failure /DC0/vm/web2
"""
"""What makes the answers long: a second object of each kind that differs from the first one."""


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


@pytest.fixture
def own_world(simulator):
    """Return a function that starts a simulator for one test alone, and returns its datacenter and govc at it."""
    with ExitStack() as stack:

        def start(*flags: str) -> tuple[novacron.HostHandle, Govc]:
            vcenter = simulator(*flags)
            host = novacron.connect(vcenter.uri(path="/DC0"), name="vc", password=vcenter.password)
            return stack.enter_context(host), Govc(vcenter)

        yield start


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


@pytest.fixture(scope="module")
def read_world(tmp_path_factory, command_scene):
    """One simulator that both commands are asked about: `theirs` and `ours` run a line of govc or NovaCron."""
    with VCenter("-machines", "0", "-apps", "1") as vcenter:
        yield ReadWorld(vcenter, tmp_path_factory.mktemp("world"), command_scene)


@pytest.fixture(scope="module")
def two_worlds(tmp_path_factory, command_scene):
    """Two simulators like that: one for the commands of govc, one for NovaCron's."""
    with VCenter("-machines", "0", "-apps", "1") as one, VCenter("-machines", "0", "-apps", "1") as other:
        yield tuple(ReadWorld(each, tmp_path_factory.mktemp("world"), command_scene) for each in (one, other))


class ReadWorld:
    """One simulator that both commands are asked about."""

    def __init__(self, vcenter: VCenter, folder: Path, scene: Any) -> None:
        self.vcenter, self.govc, self.named = vcenter, Govc(vcenter), scene.named
        self.govc.environment |= {
            "GOVC_DATACENTER": "DC0",
            "GOVC_DATASTORE": "LocalDS_0",
            "GOVC_RESOURCE_POOL": "rack1/Resources",
            "GOVC_SHOW_UNRELEASED": "true",
        }
        (folder / "a.iso").write_bytes(b"0123456789" * 100)
        for line in filter(None, (scene.world + scene.vms + SCENE_MORE).splitlines()):
            self.govc(*(str(folder / word) if word == "a.iso" else word for word in shlex.split(self.named(line))))
        self.vcenter.ask(self.govc("ls", "-i", "/DC0/vm/web1").partition(":")[2], "Overwrite it?", "Yes", "No")

    def theirs(self, line: str) -> Any:
        """Return govc's answer: what its JSON holds, or its text where it has none."""
        command, *rest = shlex.split(self.named(line))
        text = self.govc(command, *([] if command in ("tree", "vm.question") else ["-json"]), *rest)
        try:
            return json.loads(text)
        except ValueError:
            return text

    def ours(self, line: str) -> Any:
        environment = {"NOVACRON_VSPHERE_PASSWORD": self.vcenter.password}
        words = ["-c", self.vcenter.uri(path="/DC0"), *shlex.split(self.named(line)), "-o", "json"]
        done = CliRunner().invoke(cli, words, env=environment)
        assert done.exit_code == 0, f"novacron {line}: {done.output[-400:]} {done.exception}"
        return json.loads(done.stdout)
