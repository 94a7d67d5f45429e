"""vMotion and storage vMotion on a real vSphere API."""

from __future__ import annotations

import pytest

import novacron
from novacron import DiskSpec, NICSpec, VMSpec, errors
from novacron_lab.govc import Govc


@pytest.fixture
def vm(host):
    vm = host.vms.create(
        VMSpec(name="mover", memory="64MiB", node="DC0_C0_H0", disks=[DiskSpec(size="1MiB"), DiskSpec(size="1MiB")], start=True)
    )
    yield vm
    vm.delete(force=True)


def test_a_running_vm_moves_to_another_node(host, vm):
    """It runs on, and the report says from where to where."""
    assert vm.record.node == "DC0_C0_H0"
    vm.migrate(host, node="DC0_C0_H1")
    assert (vm.record.node, vm.status) == ("DC0_C0_H1", "running")
    assert vm.last_migration.native == {"from_node": "DC0_C0_H0", "to_node": "DC0_C0_H1"}
    assert vm.last_migration.live


def test_a_running_vm_moves_to_another_cluster(host, vm):
    """Into the resource pool there."""
    native = host.dispatcher.driver.native
    before = native.read(native.inventory.find(vm.id), ["resourcePool"])["resourcePool"]
    vm.migrate(host, node="DC0_H0")
    assert (vm.record.node, vm.status) == ("DC0_H0", "running")
    assert native.read(native.inventory.find(vm.id), ["resourcePool"])["resourcePool"] != before


def test_a_vm_stays_where_nothing_else_was_asked_for(host, govc):
    """A folder or a datastore moves neither the node nor the resource pool, a node of the same cluster not the pool."""
    host.native.pool_create("gold", "/DC0/host/DC0_C0")
    host.native.folder_create("/DC0/vm/kept")
    native = {"resource_pool": "/DC0/host/DC0_C0/Resources/gold"}
    disks = [DiskSpec(size="1MiB", pool="LocalDS_0")]
    vm = host.vms.create(name="settled", memory="64MiB", disks=disks, node="DC0_C0_H1", native=native, start=True)

    def place() -> tuple[str, str]:
        path = host.vms["settled"].record.path
        node, pool = (govc("object.collect", "-s", path, each) for each in ("runtime.host", "resourcePool"))
        return govc("object.collect", "-s", node, "name"), govc("object.collect", "-s", pool, "name")

    assert place() == ("DC0_C0_H1", "gold")
    vm.migrate(host, folder="/DC0/vm/kept")
    assert (place(), vm.record.path) == (("DC0_C0_H1", "gold"), "/DC0/vm/kept/settled")
    vm.migrate(host, pool="LocalDS_1")
    assert place() == ("DC0_C0_H1", "gold")
    vm.migrate(host, node="DC0_C0_H2")
    assert place() == ("DC0_C0_H2", "gold")
    vm.delete(force=True)
    host.native.pool_delete("gold")
    host.native.folder_delete("/DC0/vm/kept")


def test_every_problem_is_named_before_anything_moves(host, vm):
    """The check changes nothing; the migration refuses with all of it."""
    check = vm.migration_check(host, node="nowhere", live=False, storage="copy-top")
    assert len(check.failures) == 3
    assert any("copy-top" in failure for failure in check.failures)
    assert any("DC0_C0_H1" in failure for failure in check.failures)
    assert vm.migration_check(host, node="DC0_C0_H1").ok
    for move in (vm.migration_check, vm.migrate):
        with pytest.raises(errors.InvalidSpecError) as refused:
            move(host, node="DC0_C0_H1", bandwidth="10MiB/s", post_copy=True)
        assert {problem.path for problem in refused.value.problems} == {"bandwidth", "post_copy"}
    for wrong in ({}, {"node": "DC0_C0_H0"}):
        with pytest.raises(errors.MigrationCheckError) as caught:
            vm.migrate(host, **wrong)
        assert caught.value.failures
    with novacron.connect("sim://elsewhere") as sim, pytest.raises(errors.MigrationCheckError, match="mover"):
        vm.migrate(sim)
    assert vm.refresh().record.node == "DC0_C0_H0"


def test_a_migration_that_fails_leaves_the_vm_where_it_was(host, vm, vcenter):
    """With vSphere's own reason."""
    vcenter.fault("RelocateVM_Task", "MigrationFault", task=True)
    with pytest.raises(errors.MigrationError) as caught:
        vm.migrate(host, node="DC0_C0_H1")
    vcenter.heal()
    assert caught.value.outcome == "failed"
    assert (vm.refresh().record.node, vm.status) == ("DC0_C0_H0", "running")


def test_disks_move_between_datastores(host, vm):
    """One by name, or all; the names of the disks stay."""
    there = {d.pool for d in vm.record.disks}
    other = ({"LocalDS_0", "LocalDS_1"} - there).pop()
    vm.migrate_storage(other, "sdb")
    assert [d.pool for d in vm.record.disks] == [there.pop(), other]
    vm.migrate_storage(other)
    assert {d.pool for d in vm.record.disks} == {other}
    assert [d.target for d in vm.record.disks] == ["sda", "sdb"]
    with pytest.raises(errors.DeviceNotFoundError):
        vm.migrate_storage(other, "sdz")
    with pytest.raises(errors.StoragePoolNotFoundError):
        vm.migrate_storage("nowhere")
    names = {v.path for v in host.pools.volumes(other)}
    assert {d.source for d in vm.record.disks} <= names


def test_a_vm_moves_to_another_datacenter(simulator):
    """Two hosts of NovaCron may be two datacenters of one vCenter."""
    two = simulator("-datacenters", "2")
    with (
        novacron.connect(two.uri(path="/DC0"), name="a", password=two.password) as a,
        novacron.connect(two.uri(path="/DC1"), name="b", password=two.password) as b,
    ):
        vm = a.vms.create(VMSpec(name="mover", memory="64MiB", disks=[DiskSpec(size="1MiB")]))
        assert vm.migration_check(b).ok
        vm.migrate(b, storage="copy")
        assert vm.host is b
        assert "mover" in b.vms
        assert "mover" not in a.vms
        assert b.vms["mover"].record.node.startswith("DC1")


def test_networks_are_mapped_between_datacenters_or_refused(simulator):
    """A NIC never stays on a port group of the datacenter that the VM has left; govc sees the new one."""
    two = simulator("-datacenters", "2")
    govc = Govc(two)
    with (
        novacron.connect(two.uri(path="/DC0"), name="a", password=two.password) as a,
        novacron.connect(two.uri(path="/DC1"), name="b", password=two.password) as b,
    ):
        nics = [NICSpec(network="DC0_DVPG0"), NICSpec(network="VM Network")]
        vm = a.vms.create(VMSpec(name="mover", memory="64MiB", disks=[DiskSpec(size="1MiB")], nics=nics))
        check = vm.migration_check(b, storage="copy")
        assert ["DC0_DVPG0" in failure for failure in check.failures] == [True]
        with pytest.raises(errors.MigrationCheckError):
            vm.migrate(b, storage="copy")
        wrong = vm.migration_check(b, storage="copy", networks={"DC0_DVPG0": "nowhere", "unused": "VM Network"})
        assert len(wrong.failures) == 2
        vm.migrate(b, storage="copy", networks={"DC0_DVPG0": "DC1_DVPG0"}, pool="LocalDS_1")
        assert [nic.network for nic in vm.record.nics] == ["DC1_DVPG0", "VM Network"]
        assert {disk.pool for disk in vm.record.disks} == {"LocalDS_1"}
        (found,) = govc.lines("find", "/", "-type", "m", "-name", "mover")
        assert found == "/DC1/vm/mover" == vm.record.path
        key = govc("object.collect", "-s", "/DC1/network/DC1_DVPG0", "key")
        assert key in govc("object.collect", "-json", "-s", found, "config.hardware.device")


def test_a_vm_moves_within_its_host_to_a_node_pool_or_folder(host, vm, vcenter):
    """Each alone or together; the node stays when it is not asked for another."""
    govc = Govc(vcenter)
    govc("folder.create", "/DC0/vm/archive")
    there = {disk.pool for disk in vm.record.disks}
    other = ({"LocalDS_0", "LocalDS_1"} - there).pop()
    vm.migrate(host, pool=other)
    assert ({disk.pool for disk in vm.record.disks}, vm.record.node) == ({other}, "DC0_C0_H0")
    vm.migrate(host, folder="archive")
    assert vm.record.path == "/DC0/vm/archive/mover"
    assert govc.lines("find", "/DC0/vm", "-type", "m", "-name", "mover") == ["/DC0/vm/archive/mover"]
    vm.migrate(host, node="DC0_C0_H2", folder="/DC0/vm")
    assert (vm.record.path, vm.record.node) == ("/DC0/vm/mover", "DC0_C0_H2")
    for wrong in ({"folder": "nowhere"}, {"pool": "nowhere"}, {"node": "nowhere"}):
        assert len(vm.migration_check(host, **wrong).failures) == 1


@pytest.fixture
def two_vcenters(simulator):
    """Two simulators and a host on each; the second hands VMs over from the first as our addition to it describes (a faked boundary)."""
    one, two = simulator(), simulator()
    with (
        novacron.connect(one.uri(path="/DC0"), name="a", password=one.password) as a,
        novacron.connect(two.uri(path="/DC0"), name="b", password=two.password) as b,
    ):
        yield a, b, one, two


def test_a_running_vm_moves_to_another_vcenter(two_vcenters):
    """It runs there as it was, with its disks' content, tags and metadata, and is nowhere else."""
    a, b, _, _ = two_vcenters
    vm = a.vms.create(
        VMSpec(
            name="emigrant",
            memory="64MiB",
            description="going",
            tags={"web"},
            metadata={"owner": "me"},
            start=True,
            disks=[DiskSpec(size="1MiB"), DiskSpec(size="2MiB")],
            nics=[NICSpec(network="DC0_DVPG0", mac="00:50:56:00:00:21")],
        )
    )
    before = vm.record
    assert vm.migration_check(b, storage="copy").ok
    vm.migrate(b, storage="copy", node="DC0_C0_H1")
    assert vm.host is b
    assert (vm.id, vm.status, vm.record.node) == (before.id, "running", "DC0_C0_H1")
    for field in ("description", "tags", "metadata", "vcpus", "memory_bytes"):
        assert getattr(vm.record, field) == getattr(before, field)
    assert [d.size_bytes for d in vm.record.disks] == [2**20, 2**21]
    assert [(nic.mac, nic.network) for nic in vm.record.nics] == [("00:50:56:00:00:21", "DC0_DVPG0")]
    assert "emigrant" in b.vms
    assert "emigrant" not in a.vms
    assert not [v for pool in a.pools.list() for v in a.pools.volumes(pool.name) if "emigrant" in v.path]
    vm.migrate(a, storage="copy")
    assert vm.host is a
    assert "emigrant" not in b.vms


def test_every_problem_of_two_vcenters_is_named(two_vcenters, esxi):
    """Before anything moves: networks, names, nodes, disks; and an ESXi hands nothing over."""
    a, b, _, _ = two_vcenters
    a.networks.create(name="only-here", type="isolated")
    vm = a.vms.create(VMSpec(name="emigrant", memory="64MiB", nics=[NICSpec(network="only-here")]))
    b.vms.create(VMSpec(name="emigrant", memory="64MiB", id=vm.id))
    found = " | ".join(vm.migration_check(b, node="nowhere").failures)
    for part in ("only-here", "already on b", vm.id, "no node 'nowhere'", "storage='copy'"):
        assert part in found
    with novacron.connect(esxi.uri("esx"), name="alone", password=esxi.password) as alone:
        assert any("single ESXi" in failure for failure in vm.migration_check(alone, storage="copy").failures)
    with pytest.raises(errors.MigrationCheckError):
        vm.migrate(b, storage="copy")
    assert vm.refresh().host is a


def test_a_handover_that_fails_leaves_the_vm_at_its_source(two_vcenters):
    """Whether the other vCenter refuses the password or has no room; the password is in no error."""
    a, b, _, two = two_vcenters
    vm = a.vms.create(VMSpec(name="emigrant", memory="64MiB", disks=[DiskSpec(size="1MiB")], start=True))
    session = b.dispatcher.driver.native.session
    session._password, known = "s3cr3t-4711", session._password
    with pytest.raises(errors.AuthenticationError) as caught:
        vm.migrate(b, storage="copy")
    session._password = known
    assert "s3cr3t-4711" not in f"{caught.value!r} {caught.value.as_dict()} {caught.value.__cause__!r}"
    two.fault("CreateVM_Task", "NoDiskSpace", task=True)
    with pytest.raises(errors.MigrationError):
        vm.migrate(b, storage="copy")
    assert vm.refresh().status == "running"
    assert "emigrant" not in b.vms


def test_another_certificate_than_ours_is_not_trusted(two_vcenters, monkeypatch):
    """The source's vCenter is told by which thumbprint it knows the other."""
    a, b, _, _ = two_vcenters
    vm = a.vms.create(VMSpec(name="emigrant", memory="64MiB"))
    monkeypatch.setattr(type(b.dispatcher.driver.native.session), "certificate", lambda self: b"another")
    with pytest.raises(errors.HostConnectionError):
        vm.migrate(b, storage="copy")
    assert "emigrant" not in b.vms
