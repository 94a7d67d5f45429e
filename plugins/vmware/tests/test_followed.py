"""A listing that is followed shows a VM wherever it moves and whatever above it gets another name; govc tells where it is."""

from __future__ import annotations

import contextlib
import itertools

import pytest

import novacron
from novacron import errors
from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter
from novacron_vmware.followed import Followed

NAME = "traveller"


@pytest.fixture(scope="module")
def world():
    """Two datacenters with two clusters each, and a vApp in the first one."""
    with VCenter("-datacenters", "2", "-clusters", "2", "-hosts", "2", "-machines", "0") as vcenter:
        with novacron.connect(vcenter.uri(), name="all", password=vcenter.password) as host:
            host.native.pool_create("shop", "/DC0/host/DC0_C0", vapp=True)
        yield vcenter, Govc(vcenter)


numbers = itertools.count()


@pytest.fixture
def home(world):
    """A folder for the VM, new for each test; beside it is another one, `-2`, where it may go."""
    path = f"/DC0/vm/home{next(numbers)}"
    for each in (path, f"{path}-2"):
        world[1]("folder.create", each)
    return path


@pytest.fixture
def views(world, home):
    """A connection to everything and one to the first datacenter; both have listed the VM, and read only changes from now on."""
    vcenter, _ = world
    with (
        novacron.connect(vcenter.uri(), name="all", password=vcenter.password) as everything,
        novacron.connect(vcenter.uri(path="/DC0"), name="dc0", password=vcenter.password) as datacenter,
    ):
        vm = created(everything, NAME, home, "DC0_C0/Resources")
        for view in (everything, datacenter):
            assert shown(view) == [f"{home}/traveller"]
        yield everything, datacenter
        vm.delete(force=True)


def created(host, name, folder, pool):
    native = {"folder": folder, "resource_pool": f"/DC0/host/{pool}"}
    return host.vms.create(name=name, memory="64MiB", nics=[{"network": "/DC0/network/VM Network"}], native=native)


def shown(view, name=NAME) -> list[str]:
    return [vm.record.path for vm in view.vms.list() if vm.name == name]


MOVES = {
    "folder by migrate": lambda vm, home, govc: vm.migrate(vm.host, folder=f"{home}-2"),
    "folder by native": lambda vm, home, govc: vm.host.native.folder_move(f"{home}-2", (f"{home}/traveller",)),
    "folder by govc": lambda vm, home, govc: govc("object.mv", f"{home}/traveller", f"{home}-2"),
    "folder by govc's migrate": lambda vm, home, govc: govc(
        "vm.migrate", "-dc", "/DC0", "-folder", f"{home}-2", f"{home}/traveller"
    ),
    "node by migrate": lambda vm, home, govc: vm.migrate(vm.host, node=({"DC0_C0_H0", "DC0_C0_H1"} - {vm.record.node}).pop()),
    "cluster by migrate": lambda vm, home, govc: vm.migrate(vm.host, node="DC0_C1_H1"),
    "pool by govc": lambda vm, home, govc: govc(
        "vm.migrate", "-dc", "/DC0", "-pool", "/DC0/host/DC0_C1/Resources", f"{home}/traveller"
    ),
    "parent renamed": lambda vm, home, govc: govc("object.rename", home, "renamed"),
    "parent moved": lambda vm, home, govc: govc("object.mv", home, f"{home}-2"),
    "renamed and back": lambda vm, home, govc: (
        govc("object.rename", f"{home}/traveller", "passing"),
        govc("object.rename", f"{home}/passing", NAME),
    ),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_vm_that_moves_stays_in_the_listing(world, home, views, monkeypatch, move):
    """Of everything and of its datacenter, with its new path and node, and what happens to it afterwards is seen.

    No listing reads everything again, which would hide that a change was missed.
    """
    _, govc = world
    again, real = [], Followed._begin
    monkeypatch.setattr(Followed, "_begin", lambda self: (again.append(1), real(self))[1])
    vm = views[0].vms[NAME]
    MOVES[move](vm, home, govc)
    paths = govc.lines("find", "/", "-type", "m", "-name", NAME)
    node = govc("object.collect", "-s", govc("object.collect", "-s", paths[0], "runtime.host"), "name")
    for view in views:
        assert shown(view) == paths
        assert view.vms[NAME].record.node == node
        assert [each.record.path for each in view.vms.list(folder=paths[0].rpartition("/")[0])] == paths
    vm.start()
    for view in views:
        assert [each.status for each in view.vms.list() if each.name == NAME] == ["running"]
    assert again == []


def test_a_vm_that_goes_to_another_datacenter_leaves_the_listing_of_its_own(world, home, views):
    """And comes back, both times by a connection to everything."""
    _, govc = world
    everything, datacenter = views
    vm = everything.vms[NAME]
    for folder, here in (("/DC1/vm", []), (home, [f"{home}/traveller"])):
        vm.migrate(everything, folder=folder, networks={"VM Network": f"{folder[:4]}/network/VM Network"})
        assert govc.lines("find", "/", "-type", "m", "-name", NAME) == shown(everything) == [f"{folder}/traveller"]
        assert shown(datacenter) == here


@pytest.mark.parametrize("path", ["/DC0", "/F/DC0"])
def test_a_datacenter_that_is_renamed_changes_the_paths_in_it(simulator, path):
    """Also for a connection to that datacenter alone, and what is above it."""
    vcenter = simulator("-machines", "1")
    govc = Govc(vcenter)
    if path != "/DC0":
        govc("folder.create", "/F")
        govc("object.mv", "/DC0", "/F")
    with (
        novacron.connect(vcenter.uri(), name="all", password=vcenter.password) as everything,
        novacron.connect(vcenter.uri(path=path), name="dc0", password=vcenter.password) as datacenter,
    ):

        def all_paths() -> list[list[str]]:
            return [sorted(vm.record.path for vm in view.vms.list()) for view in (everything, datacenter)]

        assert all_paths() == [govc.lines("find", "/", "-type", "m")] * 2
        for now, name in itertools.pairwise(["DC0", "Paris", "DC0"]):
            govc("object.rename", f"{path.rpartition('/')[0]}/{now}", name)
            assert all_paths() == [govc.lines("find", "/", "-type", "m")] * 2
        if path != "/DC0":
            govc("object.rename", "/F", "G")
            assert all_paths() == [govc.lines("find", "/", "-type", "m")] * 2


def test_a_vm_in_a_vapp_has_the_names_of_what_it_is_in(world, home, views):
    """Its path goes through the cluster and the resource pool, whose names change."""
    _, govc = world
    vm = created(views[0], "inside", home, "DC0_C0/Resources/shop")
    try:
        assert [len(shown(view, "inside")) for view in views] == [1, 1]
        for old, new in itertools.pairwise(["DC0_C0", "rack", "DC0_C0"]):
            govc("object.rename", f"/DC0/host/{old}", new)
            paths = govc.lines("find", "/", "-type", "m", "-name", "inside")
            assert [shown(view, "inside") for view in views] == [paths] * 2
    finally:
        vm.delete(force=True)


def test_a_port_group_that_is_renamed_is_named_so_at_once(world):
    """By every connection that has read it before."""
    vcenter, govc = world
    with novacron.connect(vcenter.uri(path="/DC0"), name="dc0", password=vcenter.password) as host:
        vm = host.vms.create(name="wired", memory="64MiB", nics=[{"network": "DC0_DVPG0"}])
        for old, new in itertools.pairwise(["DC0_DVPG0", "blue", "green"]):
            govc("object.rename", f"/DC0/network/{old}", new)
            alone = host.vms["wired"].record
            (listed,) = [each.record for each in host.vms.list(detail="full") if each.name == "wired"]
            assert [[nic.network for nic in record.nics] for record in (alone, listed)] == [[new]] * 2
        vm.delete(force=True)


def test_the_first_listing_by_name_reads_the_rest_of_what_fits_alone(world, home, monkeypatch):
    """It tells the same as a listing of all. The second one reads everything, and later ones only changes."""
    vcenter, _ = world
    began, real = [], Followed._begin
    monkeypatch.setattr(Followed, "_begin", lambda self: (began.append(1), real(self))[1])
    with novacron.connect(vcenter.uri(), name="all", password=vcenter.password) as host:
        vms = [
            created(host, name, home, pool)
            for name, pool in (("web-1", "DC0_C0/Resources"), ("web.2", "DC0_C0/Resources/shop"), ("db-1", "DC0_C1/Resources"))
        ]
        try:
            for pattern, names in (
                ("web*", ["web-1", "web.2"]),
                ("none*", []),
                ("WEB*", []),
                ("*", ["db-1", "web-1", "web.2"]),
            ):
                with novacron.connect(vcenter.uri(), name="all", password=vcenter.password) as other:
                    began.clear()
                    first = [vm.record for vm in other.vms.list(name=pattern)]
                    assert began == []
                    assert [record.name for record in first] == names
                    assert all(record.node and record.path for record in first)
                    assert [vm.record for vm in other.vms.list(name=pattern)] == first
                    assert began == [1]
                    assert [vm.record for vm in other.vms.list() if vm.name in names] == first
                    assert began == [1]
        finally:
            for vm in vms:
                vm.delete(force=True)


def test_a_first_listing_that_is_broken_off_is_no_empty_inventory(world, home, monkeypatch):
    """The connection broke between two calls of it. All later listings were empty."""
    from pyVmomi import SoapStubAdapter

    vcenter, _ = world
    real, broken = SoapStubAdapter.InvokeMethod, []

    def breaks(stub, thing, info, *rest):
        if info.wsdlName == "CreateFilter" and not broken:
            broken.append(thing)
            raise ConnectionResetError("the connection was reset")
        return real(stub, thing, info, *rest)

    with novacron.connect(vcenter.uri(), name="all", password=vcenter.password) as host:
        vm = created(host, NAME, home, "DC0_C0/Resources")
        try:
            monkeypatch.setattr(SoapStubAdapter, "InvokeMethod", breaks)
            with contextlib.suppress(errors.HostConnectionError):
                host.vms.list()
            assert len(broken) == 1
            assert shown(host) == [f"{home}/traveller"]
        finally:
            vm.delete(force=True)


def test_a_vm_that_goes_while_another_of_its_name_is_read_hides_nothing(world, home, monkeypatch):
    """The server answered with a fault for all of them, and the one that is there was not found."""
    from novacron_vmware.finder import Finder

    vcenter, govc = world
    with novacron.connect(vcenter.uri(), name="all", password=vcenter.password) as host:
        vm = created(host, "twin", home, "DC0_C0/Resources")
        created(host, "other", f"{home}-2", "DC0_C0/Resources")
        govc("object.rename", f"{home}-2/other", "twin")
        real, gone = Finder.ancestors, []

        def after_a_deletion(self, things, *rest, **options):
            if len(things) == 2 and not gone:
                gone.append(govc("vm.destroy", f"{home}-2/twin"))
            return real(self, things, *rest, **options)

        monkeypatch.setattr(Finder, "ancestors", after_a_deletion)
        try:
            assert host.vms["twin"].id == vm.id
            assert gone
        finally:
            vm.delete(force=True)
