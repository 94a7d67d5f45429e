"""vMotion and storage vMotion on a real vSphere API."""

from __future__ import annotations

import pytest

import novacron
from novacron import DiskSpec, VMSpec, errors


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


def test_every_problem_is_named_before_anything_moves(host, vm):
    """The check changes nothing; the migration refuses with all of it."""
    check = vm.migration_check(host, node="nowhere", bandwidth="10MiB/s", live=False)
    assert len(check.failures) == 3
    assert any("DC0_C0_H1" in failure for failure in check.failures)
    assert vm.migration_check(host, node="DC0_C0_H1").ok
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
