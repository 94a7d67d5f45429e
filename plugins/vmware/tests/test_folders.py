"""Folders and the inventory's tree; govc is the witness."""

from __future__ import annotations

import pytest

import novacron
from novacron import VMSpec, errors


def test_folders_are_created_renamed_moved_and_deleted(host, govc):
    """Also with names that need escaping. govc sees each step."""
    before = govc.lines("find", "/DC0/vm", "-type", "f")
    made = host.native.folder_create("/DC0/vm/pröd %2f 1")
    assert (made.name, made.children, made.path) == ("pröd / 1", 0, "/DC0/vm/pröd %2f 1")
    assert made.path in govc.lines("find", "/DC0/vm", "-type", "f")
    with pytest.raises(errors.AlreadyExistsError):
        host.native.folder_create("/DC0/vm/pröd %2f 1")
    inner = host.native.folder_create(f"{made.path}/inner")
    assert inner.path in govc.lines("find", "/DC0/vm", "-type", "f")
    assert host.native.folder_rename(inner.path, "in/side").path == f"{made.path}/in%2fside"
    vm = host.vms.create(VMSpec(name="moved", memory="64MiB"))
    assert host.native.folder_move(f"{made.path}/in%2fside", (vm.record.path,)).children == 1
    assert govc.lines("find", "/DC0/vm", "-type", "m", "-name", "moved") == [f"{made.path}/in%2fside/moved"]
    for full in (made.path, f"{made.path}/in%2fside"):
        with pytest.raises(errors.InvalidStateError, match="holds 1"):
            host.native.folder_delete(full)
    vm.delete()
    host.native.folder_delete(f"{made.path}/in%2fside")
    host.native.folder_delete(made.path)
    assert govc.lines("find", "/DC0/vm", "-type", "f") == before


def test_folders_that_belong_to_a_datacenter_stay(host):
    with pytest.raises(errors.InvalidStateError):
        host.native.folder_delete("/DC0/host")
    with pytest.raises(errors.NotFoundError):
        host.native.folder_show("/DC0/vm/none")


def test_lists_agree_with_govc(host, govc):
    assert [folder.path for folder in host.native.folder_list()] == govc.lines("find", "/DC0", "-type", "f")
    for kind, letter in (("VirtualMachine", "m"), ("HostSystem", "h"), ("Datastore", "s"), ("ResourcePool", "p")):
        assert [each.path for each in host.native.object_list(kind=kind)] == govc.lines("find", "/DC0", "-type", letter)
    (found,) = host.native.object_list(name="LocalDS_0")
    assert f"{found.kind}:{found.id}" == govc("ls", "-i", found.path)
    assert host.native.object_show(found.id) == found
    with pytest.raises(errors.InvalidSpecError):
        host.native.object_list(kind="Nothing")


def test_datacenters_are_created_and_deleted(vcenter, host, govc):
    made = host.native.datacenter_create("/DC 9")
    assert made.path in govc.lines("find", "/", "-type", "d")
    with pytest.raises(errors.NotFoundError):  # it is outside of this host's root
        host.native.datacenter_delete("/DC 9")
    with novacron.connect(vcenter.uri(), password=vcenter.password) as everything:
        everything.native.datacenter_delete("/DC 9")
    assert made.path not in govc.lines("find", "/", "-type", "d")
    with pytest.raises(errors.InvalidStateError, match="VMs"):
        host.native.datacenter_delete("DC0")


def test_a_listing_knows_where_a_vm_was_moved(host, govc, create):
    """By NovaCron or by another client, after the inventory was read once."""
    for name in ("here", "there"):
        host.native.folder_create(f"/DC0/vm/{name}")
    for name in ("ours", "theirs"):
        create(name, native={"folder": "/DC0/vm/here"})
    assert len(host.vms.list(folder="/DC0/vm/here")) == 2
    host.native.folder_move("/DC0/vm/there", ("/DC0/vm/here/ours",))
    govc("object.mv", "/DC0/vm/here/theirs", "/DC0/vm/there")
    assert sorted(vm.record.path for vm in host.vms.list(folder="/DC0/vm/there")) == [
        "/DC0/vm/there/ours",
        "/DC0/vm/there/theirs",
    ]
