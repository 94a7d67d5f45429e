"""Reading all objects of a kind finds those that govc finds, wherever they are, in few calls."""

from __future__ import annotations

import pytest

import novacron
from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter
from novacron_vmware.sdk import vim

KINDS = {
    "Datacenter": vim.Datacenter,
    "Folder": vim.Folder,
    "StoragePod": vim.StoragePod,
    "Datastore": vim.Datastore,
    "Network": vim.Network,
    "DistributedVirtualPortgroup": vim.dvs.DistributedVirtualPortgroup,
    "DistributedVirtualSwitch": vim.DistributedVirtualSwitch,
    "ClusterComputeResource": vim.ClusterComputeResource,
    "HostSystem": vim.HostSystem,
    "ResourcePool": vim.ResourcePool,
    "VirtualApp": vim.VirtualApp,
    "VirtualMachine": vim.VirtualMachine,
}
"""vSphere's kinds of objects, by the names that govc's `find` knows them by."""
PARTS_OF = {"Network": {"DistributedVirtualPortgroup"}, "ResourcePool": {"VirtualApp"}, "Folder": {"StoragePod"}}
"""The kinds that count as another one too."""


@pytest.fixture(scope="module")
def odd():
    """Two datacenters, everything of them in folders, with storage pods, vApps, resource pools, clusters and nodes alone."""
    flags = "-folders 1 -datacenters 2 -clusters 2 -pods 1 -apps 1 -pools 2 -portgroups 2 -machines 1"
    with VCenter(*flags.split()) as vcenter:
        yield vcenter


def found_by_govc(govc: Govc, top: str, kind: str) -> list[str]:
    paths = {path for each in {kind, *PARTS_OF.get(kind, ())} for path in govc.lines("find", top, "-type", each)}
    return sorted(paths - {top, "/"})


@pytest.mark.parametrize("kind", KINDS)
def test_all_objects_of_a_kind_are_found(odd, kind):
    """Below everything, and below one of two datacenters."""
    govc = Govc(odd)
    datacenter = govc.lines("find", "/", "-type", "Datacenter")[0]
    for top in ("/", datacenter):
        with novacron.connect(odd.uri(path="" if top == "/" else top), name="odd", password=odd.password) as host:
            native = host.dispatcher.driver.native
            found = native.collect(KINDS[kind], ["name"])
            assert len({thing for thing, _ in found}) == len(found)
            paths = native.finder.paths([thing for thing, _ in found])
            assert sorted(paths.values()) == found_by_govc(govc, top, kind), top


def test_what_is_moved_or_made_by_others_is_found_at_once(odd):
    govc = Govc(odd)
    with novacron.connect(odd.uri(), name="moved", password=odd.password) as host:
        native = host.dispatcher.driver.native
        before = {read["name"] for _, read in native.collect(vim.Folder, ["name"])}
        top = next(path for path in govc.lines("find", "/", "-type", "Folder") if path.endswith("/vm"))
        govc("folder.create", f"{top}/late")
        assert {read["name"] for _, read in native.collect(vim.Folder, ["name"])} == before | {"late"}
        govc("object.destroy", f"{top}/late")
        assert {read["name"] for _, read in native.collect(vim.Folder, ["name"])} == before


def test_an_expired_session_hides_no_object(odd):
    """The server's first answer has no object; the driver logs in and reads again."""
    with novacron.connect(odd.uri(), name="expired", password=odd.password) as host:
        native = host.dispatcher.driver.native
        before = sorted(read["name"] for _, read in native.collect(vim.Datastore, ["name"]))
        assert before
        native.content.sessionManager.Logout()
        assert sorted(read["name"] for _, read in native.collect(vim.Datastore, ["name"])) == before
