"""What another client changes between our reading and our writing stays: no update is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from novacron import errors
from novacron_lab.vcenter import VCenter
from novacron_vmware.connection import VMwareConnection
from novacron_vmware.lifecycle.passthrough import passthrough
from novacron_vmware.reconfiguring import ATTEMPTS, DEVICES, VERSION
from novacron_vmware.records import FACTS
from novacron_vmware.sdk import vim

PROCESS = """
import sys
import novacron
uri, password, own = sys.argv[1:]
with novacron.connect(uri, password=password) as host:
    vm = host.vms["web1"]
    for number in range(5):
        vm.update(metadata={f"{own}{number}": "x"})
"""


@pytest.fixture(scope="module")
def vcenter():
    with VCenter("-machines", "0", "-hosts", "1") as vcenter:
        yield vcenter


@pytest.fixture
def vm(host):
    disks = [{"size": "1MiB", "pool": "LocalDS_0"}]
    vm = host.vms.create(name="web1", memory="64MiB", disks=disks, nics=[{"network": "VM Network"}])
    yield vm
    vm.delete(force=True)


@contextmanager
def beside(monkeypatch, path, change, *, often=1):
    """Let another client change the object each time that this property of it was read to be changed."""
    read, left = VMwareConnection.read, [often]

    def reading(self, thing, paths):
        found = read(self, thing, paths)
        if path in paths and left[0]:
            left[0] -= 1
            change()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(VMwareConnection, "read", reading)
        yield
    assert left[0] == 0, "nothing was read"


def config(govc):
    return govc.json("vm.info", "-e", "/DC0/vm/web1")["virtualMachines"][0]["config"]


def test_changes_of_a_device_keep_what_another_client_changed(vm, host, govc, monkeypatch):
    mac, calls = vm.refresh().record.nics[0].mac, []

    def other():
        calls.append(1)
        govc("device.disconnect", "-vm", "/DC0/vm/web1", "ethernet-0")
        govc("vm.change", "-vm", "/DC0/vm/web1", "-e", "guestinfo.other=x")

    with beside(monkeypatch, VERSION, other):
        vm.nics[mac].update(outbound_bytes_per_second=2**20)
    (card,) = [each for each in config(govc)["hardware"]["device"] if "macAddress" in each]
    assert card["resourceAllocation"]["limit"] == 8
    assert card["connectable"]["startConnected"] is False
    assert calls == [1]


def another_disk(govc, name):
    """Return what puts a disk of another client in the place of the last one, whose file stays."""
    last = [line.split()[0] for line in govc("device.ls", "-vm", "/DC0/vm/web1").splitlines() if line.startswith("disk-")][-1]

    def put():
        govc("device.remove", "-vm", "/DC0/vm/web1", "-keep", last)
        govc("vm.disk.create", "-vm", "/DC0/vm/web1", "-ds", "LocalDS_0", "-name", f"web1/{name}", "-size", "1M")

    return put


def test_a_disk_that_took_the_place_of_another_is_not_deleted(vm, host, govc, monkeypatch):
    """Between our look and our change. A disk with the same name may be any disk."""
    vm.disks.attach({"size": "1MiB"})
    other = another_disk(govc, "theirs")

    with beside(monkeypatch, VERSION, other), pytest.raises(errors.DeviceNotFoundError, match="another disk at 'sdb'"):
        vm.disks["sdb"].detach(delete=True)
    (theirs,) = [disk for disk in vm.refresh().record.disks if disk.target == "sdb"]
    assert "theirs" in theirs.volume
    vm.disks["sdb"].detach(delete=True)
    assert [disk.target for disk in vm.refresh().record.disks] == ["sda"]


def test_a_disk_that_took_the_place_of_another_is_not_resized(vm, host, govc, monkeypatch):
    """A snapshot in between gives the disk another file; it stays the same disk."""
    vm.disks.attach({"size": "1MiB"})
    other = another_disk(govc, "small")

    with beside(monkeypatch, VERSION, other), pytest.raises(errors.DeviceNotFoundError, match="another disk at 'sdb'"):
        vm.disks["sdb"].resize("8MiB")
    (theirs,) = [disk for disk in vm.refresh().record.disks if disk.target == "sdb"]
    assert ("small" in theirs.volume, theirs.size_bytes) == (True, 2**20)
    vm.disks["sdb"].detach(delete=True)


def test_a_pci_device_that_took_the_place_of_another_is_not_detached(host, govc, monkeypatch):
    """The same address on another node is another device."""
    node = host.nodes()[0].name
    vm = host.vms.create(name="web2", memory="64MiB", node=node, host_devices=[{"pci": "0000:00:07.0"}])
    read, calls = VMwareConnection.read, []

    def reading(self, thing, paths):
        found = read(self, thing, paths)
        if VERSION in paths:
            calls.append(1)
            if len(calls) == 1:
                govc("vm.change", "-vm", "/DC0/vm/web2", "-e", "guestinfo.other=x")
            for device in found[DEVICES] if len(calls) > 1 else ():
                if type(device).__name__.endswith("VirtualPCIPassthrough"):
                    device.backing.systemId = "of another node"
        return found

    with monkeypatch.context() as patch:
        patch.setattr(VMwareConnection, "read", reading)
        with pytest.raises(errors.DeviceNotFoundError, match=r"another device at '0000:00:07\.0'"):
            vm.host_devices.detach("0000:00:07.0")
    assert len(calls) == 2
    assert "pcipassthrough" in govc("device.ls", "-vm", "/DC0/vm/web2").lower()
    vm.host_devices.detach("0000:00:07.0")
    assert "pcipassthrough" not in govc("device.ls", "-vm", "/DC0/vm/web2").lower()
    vm.delete()


def test_a_pci_device_that_another_client_attached_meanwhile_is_not_attached_again(host, govc, monkeypatch):
    node = host.nodes()[0].name
    vm = host.vms.create(name="web3", memory="64MiB", node=node)

    def other():
        native = host.dispatcher.driver.native
        thing = native.inventory.find("web3")
        device = passthrough(native, native.read(thing, ["runtime.host"])["runtime.host"], "0000:00:07.0", "web3")
        device.key = -1
        change = vim.vm.device.VirtualDeviceSpec(operation="add", device=device)
        native.wait(thing.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])), resource="web3")

    with beside(monkeypatch, VERSION, other), pytest.raises(errors.AlreadyExistsError):
        vm.host_devices.attach(pci="0000:00:07.0")
    assert govc("device.ls", "-vm", "/DC0/vm/web3").count(" VirtualPCIPassthrough ") == 1
    vm.delete()


def test_a_floppy_that_another_client_removed_is_named(vm, host, govc, monkeypatch):
    (floppy,) = host.native.vm_device_add("web1", "floppy")
    names = [line.split()[0] for line in govc("device.ls", "-vm", "/DC0/vm/web1").splitlines()]
    name = next(name for name in names if name.startswith("floppy-"))
    with (
        beside(monkeypatch, VERSION, lambda: govc("device.remove", "-vm", "/DC0/vm/web1", name)),
        pytest.raises(errors.DeviceNotFoundError, match=floppy.label),
    ):
        host.native.vm_device_remove("web1", floppy.label)


def test_a_nic_that_took_the_place_of_another_is_not_detached(vm, govc, monkeypatch):
    ours, theirs = "00:50:56:00:00:21", "00:50:56:00:00:22"
    vm.nics.attach(network="VM Network", mac=ours)
    name = [line.split()[0] for line in govc("device.ls", "-vm", "/DC0/vm/web1").splitlines() if line.startswith("ethernet-")][-1]

    def other():
        govc("device.remove", "-vm", "/DC0/vm/web1", name)
        govc("vm.network.add", "-vm", "/DC0/vm/web1", "-net", "VM Network", "-net.address", theirs)

    with beside(monkeypatch, DEVICES, other), pytest.raises(errors.DeviceNotFoundError):
        vm.nics[ours].detach()
    assert theirs in [nic.mac for nic in vm.refresh().record.nics]
    vm.nics[theirs].detach()


def test_a_disk_that_was_there_before_is_kept_though_another_client_attaches_one(vm, host, govc, monkeypatch):
    """And not the one of the other client, which has the first of the new names."""
    govc("datastore.disk.create", "-ds", "LocalDS_0", "-size", "1M", "ours.vmdk")

    def other():
        govc("vm.disk.create", "-vm", "/DC0/vm/web1", "-ds", "LocalDS_0", "-name", "web1/first", "-size", "1M")

    with beside(monkeypatch, DEVICES, other):
        vm.disks.attach({"path": "LocalDS_0/ours", "target": "sdd"})
    options = {each["key"]: each["value"] for each in config(govc)["extraConfig"]}
    uuids = {
        each["backing"]["fileName"]: each["backing"]["uuid"] for each in config(govc)["hardware"]["device"] if "uuid" in str(each)
    }
    kept = json.loads(options[FACTS])["kept_disks"]
    assert kept == [uuids["[LocalDS_0] ours.vmdk"]]
    for name in ("sdb", "sdd"):
        vm.disks[name].detach(delete=False)


def test_metadata_and_tags_of_two_clients_are_both_kept(vm, govc, monkeypatch):
    def other(**more):
        """Change the metadata as a NovaCron on another machine does."""
        options = {each["key"]: each["value"] for each in config(govc)["extraConfig"]}
        facts = json.loads(options.get(FACTS, "{}"))
        facts["metadata"] = facts.get("metadata", {}) | more
        govc("vm.change", "-vm", "/DC0/vm/web1", "-e", f"{FACTS}={json.dumps(facts)}")

    with beside(monkeypatch, VERSION, lambda: other(theirs="1")):
        vm.update(metadata={"ours": "1"})
    with beside(monkeypatch, VERSION, lambda: other(more="1")):
        vm.update(tags={"web"})
    record = vm.refresh().record
    assert record.metadata == {"ours": "1", "theirs": "1", "more": "1"}
    assert record.tags == {"web"}


def test_one_that_is_always_slower_is_refused_and_changes_nothing(vm, govc, monkeypatch):
    numbers = iter(range(1000))

    def other():
        govc("vm.change", "-vm", "/DC0/vm/web1", "-e", f"guestinfo.busy={next(numbers)}")

    before = vm.refresh().record.description
    with beside(monkeypatch, VERSION, other, often=ATTEMPTS), pytest.raises(errors.BusyError) as refused:
        vm.update(description="lost")
    assert refused.value.hint
    assert vm.refresh().record.description == before


def test_a_port_group_keeps_what_another_client_changed(host, govc, monkeypatch):
    govc("dvs.portgroup.add", "-dvs", "DVS0", "-vlan", "1", "prod")
    govc("dvs.portgroup.change", "-vlan", "2", "prod")  # from now on it has a version
    with beside(monkeypatch, "config", lambda: govc("dvs.portgroup.change", "-vlan", "13", "prod")):
        host.native.portgroup_teaming_set("prod", active=["uplink1"], balance="ip")
    assert next(each.vlan for each in host.native.portgroup_list("DVS0") if each.name == "prod") == "13"
    (teaming,) = host.native.portgroup_teaming_show("prod")
    assert (teaming.active, teaming.balance) == (("uplink1",), "ip")


def test_a_standard_port_group_is_read_just_before_it_is_written(host, govc, monkeypatch):
    node = govc("ls", "/DC0/host/DC0_C0").splitlines()[0]
    govc("host.portgroup.add", "-host", node, "-vswitch", "vSwitch0", "plain")
    with beside(
        monkeypatch,
        "name",
        lambda: govc("host.portgroup.change", "-host", node, "-vlan-id", "21", "plain"),
    ):
        host.native.portgroup_teaming_set("plain", notify=False)
    (group,) = [each for each in govc.json("host.portgroup.info", "-host", node)["portgroup"] if each["spec"]["name"] == "plain"]
    assert group["spec"]["vlanId"] == 21
    assert group["spec"]["policy"]["nicTeaming"]["notifySwitches"] is False


def test_two_processes_change_one_vm_and_both_are_heard(vm, vcenter, tmp_path):
    """Each process has a state directory of its own, as on another machine, so that they share no locks."""
    started = []
    for own in ("a", "b"):
        environment = os.environ | {"NOVACRON_STATE": str(tmp_path / own), "XDG_STATE_HOME": str(tmp_path / own)}
        words = [sys.executable, "-c", PROCESS, vcenter.uri(path="/DC0"), vcenter.password, own]
        started.append(subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True))
    for process in started:
        _, said = process.communicate()
        assert process.returncode == 0, said[-600:]
    assert set(vm.refresh().record.metadata) >= {f"{own}{number}" for own in "ab" for number in range(5)}
