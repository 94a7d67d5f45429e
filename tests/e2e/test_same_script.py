"""One script and one flow file, unchanged, on every hypervisor: simulated hosts, libvirt and QEMU, vSphere."""

import pytest
import yaml

import novacron
from novacron.workflow import Workflow
from novacron_lab.vcenter import VCenter

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


def script(host, other):
    """What an administrator does in a day. Returns what was seen, which is the same everywhere."""
    seen = []
    vm = host.vms.create(
        name="same", memory="64MiB", vcpus=2, disks=[{"size": "16MiB"}], tags={"script"}, description="a day's work"
    )
    seen.append(vm.start().status)
    disk = vm.disks.attach(size="16MiB")
    seen.append((disk.record.size_bytes, len(vm.refresh().record.disks)))
    vm.snapshots.create("before", description="the day's work")
    vm.update(description="changed", metadata={"owner": "ann"})
    seen.append(vm.snapshots["before"].revert().status)
    seen.append([s.name for s in vm.snapshots.list()])
    seen.append(vm.metrics().vcpus)
    vm.snapshots["before"].delete()
    seen.append(vm.stop().status)
    copy = vm.clone("same-copy")
    seen.append((copy.name, copy.status, len(copy.record.disks), copy.tags))
    template = host.templates.create(vm, "golden", description="what others begin with", seal=False)
    seen.append((template.name, template.version))
    deployed = host.templates.deploy("golden", name="same-deployed", memory="96MiB", start=True)
    seen.append((deployed.status, deployed.record.memory_bytes))
    deployed.delete(force=True)
    vm.start()
    vm.migrate(other)
    seen.append((vm.host is other, vm.status, "same" in host.vms))
    vm.delete(force=True)
    copy.delete()
    host.templates.delete("golden")
    seen.append(("same" in other.vms, "same-copy" in host.vms, host.templates.list()))
    return seen


EXPECTED = [
    "running",
    (16 * 2**20, 2),
    "running",
    ["before"],
    2,
    "stopped",
    ("same-copy", "stopped", 2, {"script"}),
    ("golden", 1),
    ("running", 96 * 2**20),
    (True, "running", False),
    (False, False, []),
]


FLOW_FILE = """
format: 1
name: move-and-keep
flow:
  node: sequence
  nodes:
    - {step: tag, add: [moving]}
    - {step: snapshot, name: before}
    - {node: flow, name: migrate_then_snapshot, arguments: {to: there, name: after}}
"""


def flow_file(host, other):
    """Run the file for a running VM: it moves, with its snapshots. The file names the other host, "there"."""
    vm = host.vms.create(name="flowing", memory="64MiB", disks=[{"size": "16MiB"}], start=True)
    flow = Workflow.from_dict(yaml.safe_load(FLOW_FILE))
    places = {host.name: host, other.name: other}
    plan = flow.plan(vm, hosts=places)
    assert plan.ok, plan
    run = flow.run(vm, hosts=places)
    there = other.vms["flowing"]
    found = [run.status, there.status, sorted(s.name for s in there.snapshots), there.tags, "flowing" in host.vms]
    for snapshot in there.snapshots.list(leaves=True) + there.snapshots.list(name="before"):
        snapshot.delete()
    there.delete(force=True)
    return found


MOVED = ["done", "running", ["after", "before"], {"moving"}, False]


def test_on_simulated_hosts():
    with novacron.connect("sim://same-a") as a, novacron.connect("sim://same-b", name="there") as b:
        assert script(a, b) == EXPECTED
        assert flow_file(a, b) == MOVED


def test_on_libvirt_and_qemu(lab, lab_hosts):
    assert script(*lab_hosts) == EXPECTED
    with novacron.connect(lab.hosts[1].uri, name="there") as there:
        assert flow_file(lab_hosts[0], there) == MOVED


def test_on_vsphere():
    with (
        VCenter("-datacenters", "2") as vcenter,
        novacron.connect(vcenter.uri(path="/DC0"), name="a", password=vcenter.password) as a,
        novacron.connect(vcenter.uri(path="/DC1"), name="there", password=vcenter.password) as b,
    ):
        assert script(a, b) == EXPECTED
        assert flow_file(a, b) == MOVED
