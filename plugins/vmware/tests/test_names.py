"""Names, paths and ids in an inventory of odd shapes: nothing is chosen silently, and govc sees the same objects."""

from __future__ import annotations

import subprocess
import sys
from urllib.parse import quote

import pytest

import novacron
from novacron import DiskSpec, NICSpec, VMSpec, errors
from novacron.workflow import steps
from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter

ODD = ["a/b", "100%", "back\\slash", "-dash", "caf\u00e9 \u2603", "quote'\"", "n" * 80]


@pytest.fixture(scope="module")
def odd():
    """A vCenter with a datacenter DC0 at the top and another one, without VMs, in the folder F1; and a second full one, DC1."""
    with VCenter("-datacenters", "2", "-machines", "1") as vcenter:
        govc = Govc(vcenter)
        govc("folder.create", "/F1")
        govc("datacenter.create", "-folder", "/F1", "DC0")
        govc("datacenter.create", "-folder", "/F1", "Only")
        yield vcenter, govc


@pytest.fixture(scope="module")
def everything(odd):
    """A host for the whole vCenter."""
    vcenter, _ = odd
    with novacron.connect(vcenter.uri(), name="all", password=vcenter.password) as host:
        yield host


def paths(vcenter, path):
    with novacron.connect(vcenter.uri(path=path), password=vcenter.password) as host:
        return sorted(vm.record.path for vm in host.vms.list())


def test_a_datacenter_is_named_by_its_path(odd):
    """The empty datacenter of the same name in a folder does not shadow the one at the top, and govc lists the same VMs."""
    vcenter, govc = odd
    assert paths(vcenter, "/DC0") == govc.lines("find", "/DC0", "-type", "m")
    assert paths(vcenter, "/F1/DC0") == []
    assert paths(vcenter, "/F1") == []
    assert paths(vcenter, "/Only") == []
    assert paths(vcenter, "") == govc.lines("find", "/", "-type", "m")
    with pytest.raises(errors.NotFoundError, match="F1/DC7") as caught:
        paths(vcenter, "/F1/DC7")
    assert "/F1/Only" in caught.value.hint


def test_an_ambiguous_datacenter_is_refused_with_its_paths(odd):
    """A single name that is at no place of that path, but in two folders."""
    vcenter, govc = odd
    for folder in ("X1", "X2"):
        govc("folder.create", f"/{folder}")
        govc("datacenter.create", "-folder", f"/{folder}", "Twice")
    with pytest.raises(errors.InvalidSpecError) as caught:
        paths(vcenter, "/Twice")
    assert caught.value.details["paths"] == ["/X1/Twice", "/X2/Twice"]
    assert paths(vcenter, "/X2/Twice") == []


@pytest.mark.parametrize("name", ["Rack %1", "a/b", "caf\u00e9"])
def test_a_uri_path_is_percent_decoded(odd, name):
    """Blanks, slashes and other letters in a datacenter's name."""
    vcenter, govc = odd
    govc("datacenter.create", name)
    with novacron.connect(vcenter.uri(path="/" + quote(name, safe="")), password=vcenter.password) as host:
        assert host.vms.list().total == 0


def test_a_vm_is_found_by_name_path_and_id_without_reading_all(odd, monkeypatch):
    """The calls do not grow with the inventory: no collector is made, and the VM's own properties alone are read."""
    from pyVmomi import SoapStubAdapter

    vcenter, govc = odd
    path = "/DC0/vm/DC0_H0_VM0"
    moref = govc("ls", "-i", path)
    calls, real = [], SoapStubAdapter.InvokeMethod
    with novacron.connect(vcenter.uri(), password=vcenter.password) as host:
        uuid = host.vms["DC0_H0_VM0"].id
        monkeypatch.setattr(SoapStubAdapter, "InvokeMethod", lambda *a, **k: (calls.append(a[2].name), real(*a, **k))[1])
        for text in ("DC0_H0_VM0", path, uuid, moref, moref.partition(":")[2]):
            calls.clear()
            assert host.vms[text].record.path == path
            assert "CreateFilter" not in calls
            assert len(calls) < 40, "a call for each folder, not for each VM"
        assert host.vms.list().total > 1
        for text in ("DC0_H0_VM0", path, uuid, moref, moref.partition(":")[2]):
            assert host.vms[text].record.path == path
        for unknown in ("/DC0/vm/none", "vm-99999", "VirtualMachine:vm-99999", "none"):
            with pytest.raises(errors.VMNotFoundError):
                host.vms[unknown]
    with novacron.connect(vcenter.uri(path="/DC1"), password=vcenter.password) as host:
        for text in (path, uuid, moref):
            with pytest.raises(errors.VMNotFoundError):
                host.vms[text]


@pytest.mark.parametrize("listed", [False, True])
def test_vms_of_one_name_are_refused_with_their_paths(odd, listed):
    """Whether the inventory was read before or not; each is reached by its path."""
    vcenter, govc = odd
    for folder, store in (("red", "LocalDS_0"), ("blue", "LocalDS_1")):
        govc("folder.create", f"/DC0/vm/{folder}{listed}")
        govc(
            "vm.create",
            "-dc",
            "/DC0",
            "-on=false",
            "-folder",
            f"/DC0/vm/{folder}{listed}",
            "-pool",
            "/DC0/host/DC0_C0/Resources",
            "-ds",
            store,
            "-net",
            "/DC0/network/VM Network",
            f"same{listed}",
        )
    with novacron.connect(vcenter.uri(path="/DC0"), password=vcenter.password) as host:
        if listed:
            host.vms.list()
        with pytest.raises(errors.InvalidSpecError, match="2 VMs") as caught:
            host.vms[f"same{listed}"].start()
        assert caught.value.details["paths"] == [f"/DC0/vm/blue{listed}/same{listed}", f"/DC0/vm/red{listed}/same{listed}"]
        red = host.vms[f"/DC0/vm/red{listed}/same{listed}"]
        red.start()
        assert "poweredOn" in govc("object.collect", "-s", red.record.path, "runtime.powerState")
        assert "poweredOff" in govc("object.collect", "-s", f"/DC0/vm/blue{listed}/same{listed}", "runtime.powerState")
        assert red.record.folder == f"/DC0/vm/red{listed}"
        inside = host.vms.list(folder=f"red{listed}")
        assert [vm.record.path for vm in inside] == [red.record.path]
        assert host.vms.list(folder="/DC0/vm").total == host.vms.list().total
        assert host.vms.list(folder="/DC0/vm/re").total == 0
        for vm in host.vms.list(name=f"same{listed}"):
            vm.delete(force=True)


@pytest.mark.parametrize("name", ODD)
def test_odd_names_work_in_folders_networks_and_vms(odd, name):
    """A folder, a distributed port group and a VM of that name: created by govc, used by NovaCron, and govc sees where it went."""
    vcenter, govc = odd
    stored = name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")
    with novacron.connect(vcenter.uri(path="/DC0"), password=vcenter.password) as host:
        native = host.dispatcher.driver.native
        top = native.read(native.root, ["vmFolder"])["vmFolder"]
        top.CreateFolder(name)
        govc("dvs.portgroup.add", "-dc", "/DC0", "-dvs", "DVS0", "--", name)
        spec = VMSpec(name="odd", memory="64MiB", native={"folder": f"/DC0/vm/{stored}"}, nics=[NICSpec(network=name)])
        vm = host.vms.create(spec)
        assert vm.record.path == f"/DC0/vm/{stored}/odd"
        assert [nic.network for nic in vm.record.nics] == [name]
        assert govc.lines("find", "/DC0/vm", "-type", "m", "-name", "odd") == [vm.record.path]
        assert host.vms[vm.record.path].id == vm.id
        vm.delete()
        network = host.networks[name]
        assert network.name == name
        host.networks.delete(name)
        native.wait(next(t for t, r in native.collect(type(top), ["name"]) if r["name"] == stored).Destroy_Task(), resource=name)


def test_a_datastore_of_two_datacenters_is_refused_or_goes_by_its_path(odd, everything):
    """Volumes are made in the datastore that was named, never in another one's of the same name."""
    _, govc = odd
    with pytest.raises(errors.InvalidSpecError) as caught:
        everything.pools.volumes("LocalDS_0")
    assert caught.value.details["paths"] == ["/DC0/datastore/LocalDS_0", "/DC1/datastore/LocalDS_0"]
    with pytest.raises(errors.InvalidSpecError):
        everything.pools.create_volume("LocalDS_0", name="v1", capacity="1MiB")
    everything.pools.create_volume("/DC1/datastore/LocalDS_0", name="v1", capacity="1MiB")
    assert "v1.vmdk" in govc.lines("datastore.ls", "-dc", "/DC1", "-ds", "LocalDS_0")
    assert "v1.vmdk" not in govc.lines("datastore.ls", "-dc", "/DC0", "-ds", "LocalDS_0")
    moref = govc("ls", "-i", "/DC1/datastore/LocalDS_0")
    assert "v1.vmdk" in {volume.name for volume in everything.pools.volumes(moref)}
    everything.pools.delete_volume("v1.vmdk", "/DC1/datastore/LocalDS_0")


def test_a_vm_goes_to_the_datacenter_of_its_datastore_folder_or_network(odd, everything):
    """What the spec names by path decides; a name that two datacenters have is refused before anything is made."""
    _, govc = odd
    for more in (
        {"disks": [DiskSpec(size="1MiB", pool="/DC1/datastore/LocalDS_0")]},
        {"native": {"folder": "/DC1/vm"}},
        {"nics": [NICSpec(network="/DC1/network/VM Network")]},
        {"node": "DC1_C0_H1", "disks": [DiskSpec(size="1MiB", pool="LocalDS_0")]},
    ):
        vm = everything.vms.create(VMSpec(name="placed", memory="64MiB", **more))
        assert vm.record.path == "/DC1/vm/placed"
        assert vm.record.node.startswith("DC1")
        assert govc.lines("find", "/", "-type", "m", "-name", "placed") == ["/DC1/vm/placed"]
        vm.delete()
    for more in ({"disks": [DiskSpec(size="1MiB", pool="LocalDS_0")]}, {"nics": [NICSpec(network="VM Network")]}):
        with pytest.raises(errors.InvalidSpecError, match="2 "):
            everything.vms.create(VMSpec(name="placed", memory="64MiB", **more))
    with pytest.raises(errors.InvalidSpecError, match="resource pools are named"):
        everything.vms.create(VMSpec(name="placed", memory="64MiB", native={"resource_pool": "Resources"}))
    assert govc.lines("find", "/", "-type", "m", "-name", "placed") == []


def test_a_session_does_not_outlive_a_failed_connect(odd):
    """A wrong datacenter is found out after the log-in; the server's list of sessions is as before."""
    vcenter, _ = odd
    with novacron.connect(vcenter.uri(), password=vcenter.password) as host:
        content = host.dispatcher.driver.native.content
        before = len(content.sessionManager.sessionList)
        with pytest.raises(errors.NotFoundError):
            paths(vcenter, "/Nowhere")
        assert len(content.sessionManager.sessionList) == before


def test_two_snapshots_of_one_name_are_told_apart_by_id(odd):
    """vSphere allows them; an ambiguous name is refused with the ids, and an id reaches exactly one."""
    vcenter, govc = odd
    with novacron.connect(vcenter.uri(path="/DC0"), password=vcenter.password) as host:
        vm = host.vms.create(VMSpec(name="twins", memory="64MiB"))
        for _ in range(2):
            govc("snapshot.create", "-vm", "/DC0/vm/twins", "-m=false", "s")
        first, second = (snapshot.id for snapshot in vm.snapshots.list())
        for operation, more in (("snapshot_get", {}), ("snapshot_revert", {}), ("snapshot_delete", {"children": False})):
            with pytest.raises(errors.InvalidSpecError, match="2 snapshots") as caught:
                host.invoke(operation, vm=vm.id, snapshot="s", **more)
            assert {first, second} == set(caught.value.details["ids"])
        for step in (steps.revert, steps.delete_snapshot):
            (problem,) = step("s").plan(vm).problems
            assert f"name one by its id: {first}, {second}" in problem
        assert (steps.delete_snapshot(first) >> steps.revert("s")).plan(vm).ok, "only one is left then"
        vm.snapshots[first].delete()
        assert [snapshot.id for snapshot in vm.snapshots.list()] == [second]
        assert "s" in govc.lines("snapshot.tree", "-vm", "/DC0/vm/twins")
        vm.delete()


def test_a_command_for_many_vms_does_not_update_the_inventory_for_each(odd, monkeypatch):
    """After a listing each VM is looked up by its UUID alone; a VM that another client has replaced or deleted is noticed."""
    from pyVmomi import SoapStubAdapter

    vcenter, govc = odd
    with novacron.connect(vcenter.uri(path="/DC0"), password=vcenter.password) as host:
        vm = host.vms.create(VMSpec(name="replaced", memory="64MiB"))
        listed = next(each for each in host.vms.list() if each.id == vm.id)
        calls, real = [], SoapStubAdapter.InvokeMethod
        with monkeypatch.context() as patched:
            patched.setattr(SoapStubAdapter, "InvokeMethod", lambda *a, **k: (calls.append(a[2].name), real(*a, **k))[1])
            listed.start()
            listed.stop()
        assert "WaitForUpdatesEx" not in calls
        assert len(calls) < 20
        (file,) = govc.lines("object.collect", "-s", "/DC0/vm/replaced", "config.files.vmPathName")
        store, _, path = file.lstrip("[").partition("] ")
        before = govc("ls", "-i", "/DC0/vm/replaced")
        govc("vm.unregister", "/DC0/vm/replaced")
        govc("vm.register", "-dc", "/DC0", "-ds", store, "-pool", "/DC0/host/DC0_C0/Resources", path)
        assert govc("ls", "-i", "/DC0/vm/replaced") != before
        identity = govc("object.collect", "-s", "/DC0/vm/replaced", "config.instanceUuid")
        assert host.vms[identity].name == "replaced"
        govc("vm.destroy", "/DC0/vm/replaced")
        with pytest.raises(errors.VMNotFoundError):
            host.vms[identity]


def test_the_driver_imports_no_library_that_reading_does_not_need():
    """They take longer to import than vSphere takes to answer."""
    code = (
        "import sys\n"
        "from novacron_vmware.plugin import areas\n"
        "assert len(areas()) > 20\n"
        "print([name for name in ('pydantic', 'sqlalchemy', 'lxml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
