"""Disk files that several VMs use: none of them is deleted or merged while another VM needs it; govc is the witness."""

from __future__ import annotations

import pytest

from novacron import DiskSpec, VMSpec, errors


def files(govc, folder):
    """The VMDKs in a folder of LocalDS_0."""
    return [line for line in govc.lines("datastore.ls", "-ds", "LocalDS_0", folder) if line.endswith(".vmdk")]


def made(host, name, **fields):
    return host.vms.create(VMSpec(name=name, memory="64MiB", disks=[DiskSpec(size="1MiB", pool="LocalDS_0")], **fields))


def test_the_original_of_a_linked_clone_stays(host, govc):
    """Also when it runs and is deleted by force: it is not even stopped. The snapshot that the clone is based on stays too."""
    original = made(host, "original", start=True)
    clone = original.clone("its-linked-clone", linked=True)
    for delete in (
        lambda: original.delete(force=True),
        lambda: original.delete(force=True, keep_disks=True),
        lambda: original.snapshots["novacron-base"].delete(),
        lambda: original.snapshots["novacron-base"].delete(children=True),
    ):
        with pytest.raises(errors.InvalidStateError, match="its-linked-clone"):
            delete()
    assert original.refresh().status == "running"
    assert "novacron-base" in govc.lines("snapshot.tree", "-vm", "original")
    clone.delete()
    original.snapshots["novacron-base"].delete()
    original.delete(force=True)
    assert not {"original", "its-linked-clone"} & {
        line.rpartition("/")[2] for line in govc.lines("find", "/DC0/vm", "-type", "m")
    }


def test_a_disk_that_another_vm_has_too_is_not_deleted(host, govc):
    """The owner is refused, unless its disks are kept; the other VM never deletes what it did not make."""
    owner = made(host, "disk-owner")
    source = owner.record.disks[0].source
    other = host.vms.create(
        VMSpec(name="disk-guest", memory="64MiB", disks=[DiskSpec(path=source, pool="LocalDS_0", shareable=True)])
    )
    with pytest.raises(errors.InvalidStateError, match="disk-guest") as caught:
        owner.delete()
    assert "keep_disks" in caught.value.hint
    assert owner.delete(keep_disks=True).kept == (source,)
    assert other.delete().kept == (source,)
    assert files(govc, "disk-owner") != []
    govc("datastore.rm", "-dc", "DC0", "-ds", "LocalDS_0", "disk-owner")


def test_no_two_vms_write_one_disk(host, govc):
    """Neither a disk of another VM nor what a snapshot or a linked clone reads below its own file is taken, and none is deleted."""
    owner = made(host, "first-writer")
    source = owner.record.disks[0].source
    second = made(host, "second-writer")
    for use in (
        lambda: host.vms.create(VMSpec(name="third-writer", memory="64MiB", disks=[DiskSpec(path=source, pool="LocalDS_0")])),
        lambda: second.disks.attach(path=source, pool="LocalDS_0"),
    ):
        for snapshot in (False, True):
            if snapshot:
                owner.snapshots.create("one")
            with pytest.raises(errors.DiskLockedError, match="first-writer"):
                use()
            if snapshot:
                owner.snapshots["one"].delete()
    second.disks.attach(path=source, pool="LocalDS_0", shareable=True)
    with pytest.raises(errors.InvalidStateError, match="first-writer"):
        second.disks["sdb"].detach(delete=True)
    assert files(govc, "first-writer")
    second.disks["sdb"].detach()
    assert "third-writer" not in host.vms
    second.delete()
    owner.delete()


def test_a_vm_registered_from_its_file_keeps_what_others_use(host, govc):
    """Registered by NovaCron or by govc: the driver does not know who made its disks, so it looks who uses them.

    The simulator forgets the disks of a VM that is taken out of the inventory, so govc attaches them again.
    """
    registered = made(host, "registered")
    path = govc.json("object.collect", "/DC0/vm/registered", "config.files.vmPathName")[0]["val"]
    source, (store, file) = registered.record.disks[0].source, path[1:].split("] ")
    other = host.vms.create(
        VMSpec(name="its-neighbour", memory="64MiB", disks=[DiskSpec(path=source, pool="LocalDS_0", shareable=True)])
    )
    for register in (
        lambda: host.vms.import_definition(path),
        lambda: govc("vm.register", "-dc", "DC0", "-ds", store, "-pool", "DC0_C0/Resources", "-name", "registered", file),
    ):
        govc("vm.unregister", "registered")
        register()
        govc("device.scsi.add", "-vm", "registered")
        govc("vm.disk.attach", "-vm", "registered", "-ds", "LocalDS_0", "-disk", source.partition("] ")[2], "-link=false")
        with pytest.raises(errors.InvalidStateError, match="its-neighbour"):
            host.vms["registered"].delete()
        assert files(govc, "registered") != []
    other.delete()
    host.vms["registered"].delete()


def test_a_failed_creation_deletes_no_disk_that_was_there(host, govc):
    """The first disk is a given one, the second needs an image that does not exist."""
    owner = made(host, "earlier")
    source = owner.record.disks[0].source
    owner.delete(keep_disks=True)
    disks = [DiskSpec(path=source, pool="LocalDS_0", shareable=True), DiskSpec(source="no-such-image", pool="LocalDS_0")]
    with pytest.raises(errors.ImageNotFoundError):
        host.vms.create(VMSpec(name="half-made", memory="64MiB", disks=disks))
    assert "half-made" not in [vm.name for vm in host.vms.list()]
    assert files(govc, "earlier") != []
    govc("datastore.rm", "-dc", "DC0", "-ds", "LocalDS_0", "earlier")
