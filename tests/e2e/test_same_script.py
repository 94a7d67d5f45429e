"""One script, unchanged, on every hypervisor: simulated hosts, libvirt and QEMU, vSphere."""

import pytest

import novacron
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
    "running", (16 * 2**20, 2), "running", ["before"], 2, "stopped", ("same-copy", "stopped", 2, {"script"}), ("golden", 1),
    ("running", 96 * 2**20), (True, "running", False), (False, False, []),
]  # fmt: skip


def test_on_simulated_hosts():
    with novacron.connect("sim://same-a") as a, novacron.connect("sim://same-b") as b:
        assert script(a, b) == EXPECTED


def test_on_libvirt_and_qemu(lab_hosts):
    assert script(*lab_hosts) == EXPECTED


def test_on_vsphere():
    with (
        VCenter("-datacenters", "2") as vcenter,
        novacron.connect(vcenter.uri(path="/DC0"), name="a", password=vcenter.password) as a,
        novacron.connect(vcenter.uri(path="/DC1"), name="b", password=vcenter.password) as b,
    ):
        assert script(a, b) == EXPECTED
