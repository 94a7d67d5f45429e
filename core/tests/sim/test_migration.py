"""VMs move between two simulated hosts."""

import threading

import pytest

from novacron import errors
from novacron.drivers import sim


def test_a_running_vm_moves_with_its_volumes_and_snapshots(a, b, make, volumes):
    vm = make(a, disks=[{"size": "5GiB"}], nics=[{"network": "default"}], start=True)
    vm.snapshots.create("one")
    vm.migrate(to=b)
    assert (vm.host.name, vm.status, vm.record.host, len(a.vms)) == ("b", "running", "b", 0)
    assert [s.name for s in vm.snapshots] == ["one"]
    assert (volumes(a), volumes(b)) == ([], ["web1-vda.qcow2"])
    assert vm.last_migration.transferred_bytes == 2**30
    vm.migrate(to=a)
    vm.stop().migrate(to=b, live=False)
    assert vm.status == "stopped"


def test_the_check_names_every_failure_at_once(a, b, make):
    a.networks.create(name="lan")
    a.pools.create(name="fast")
    vm = make(a, disks=[{"size": "1GiB", "pool": "fast"}], nics=[{"network": "lan"}], start=True)
    make(b)
    check = vm.migration_check(b)
    assert not check.ok
    assert [word for word in ("'web1' already", "network 'lan'", "storage pool 'fast'") if word not in str(check.failures)] == []
    with pytest.raises(errors.MigrationCheckError) as raised:
        vm.migrate(to=b)
    assert tuple(raised.value.failures) == check.failures
    assert vm.refresh().status == "running"


def test_a_vm_does_not_move_to_its_own_host_or_without_its_disks(a, b, make, volumes):
    a.pools.create_volume(name="data", capacity="1GiB")
    vm = make(a, disks=[{"path": "/sim/default/data"}])
    assert "same host" in vm.migration_check(a).failures[0]
    assert "default/data" in vm.migration_check(b).failures[0]
    b.pools.create_volume(name="data", capacity="1GiB")
    vm.migrate(to=b)
    assert (volumes(a), volumes(b)) == (["data"], ["data"])


def test_a_slow_migration_reports_and_can_be_cancelled(a, b, make):
    vm = make(a, start=True)
    job = vm.migrate(to=b, bandwidth="1MiB/s", wait=False)
    moving = threading.Event()
    job.listen(lambda progress: progress.details.get("transferred_bytes") and moving.set())
    assert moving.wait(60)
    assert a.vms["web1"].status == "migrating"
    assert {"remaining_bytes", "total_bytes", "downtime_seconds"} <= set(job.progress.details)
    job.cancel()
    with pytest.raises(errors.OperationCancelledError):
        job.wait(60)
    assert (vm.refresh().status, len(b.vms)) == ("running", 0)


def test_a_migration_past_its_deadline_stays_at_the_source(a, b, make):
    vm = make(a, native={"dirty_bytes_per_second": 2**30}, start=True)
    with pytest.raises(errors.OperationTimeoutError):
        vm.migrate(to=b, bandwidth="100MiB/s", deadline=0.1)
    assert (vm.refresh().status, len(b.vms)) == ("running", 0)


def test_a_migration_under_way_can_be_tuned(a, b, make):
    vm = make(a, start=True)
    with pytest.raises(errors.InvalidStateError):
        a.invoke("migration_tune", vm=vm.id, bandwidth=2**40, max_downtime=None, post_copy=False)
    job = vm.migrate(to=b, bandwidth="1MiB/s", wait=False)
    moving = threading.Event()
    job.listen(lambda progress: progress.details and moving.set())
    assert moving.wait(60)
    a.invoke("migration_tune", vm=vm.id, bandwidth=2**40, max_downtime=None, post_copy=False)
    assert job.wait(60).host.name == "b"


def test_copied_disks_are_sent_and_need_space(a, b, make):
    vm = make(a, disks=[{"size": "1GiB", "preallocate": True}])
    sim.world("b").pools["default"].capacity_bytes = 2**20
    assert "bytes left" in vm.migration_check(b, storage="copy").failures[0]
    sim.world("b").pools["default"].capacity_bytes = 2**31
    vm.migrate(to=b, storage="copy")
    assert vm.last_migration.transferred_bytes == 2**30


def test_disks_move_to_another_pool_while_the_vm_runs(a, make, volumes):
    a.pools.create(name="fast")
    vm = make(a, disks=[{"size": "1GiB"}, {"size": "2GiB"}], start=True)
    move = lambda *disks: a.invoke("vm_migrate_storage", vm=vm.id, pool="fast", disks=disks)  # noqa: E731
    assert [d.pool for d in move("vdb").disks] == ["default", "fast"]
    assert [d.pool for d in move().disks] == ["fast", "fast"]
    assert (a.pools.volumes(), len(a.pools.volumes("fast"))) == ([], 2)
    with pytest.raises(errors.DeviceNotFoundError):
        move("vdz")
    vm.delete(force=True)
    assert volumes(a) == []


def test_crossing_migrations_end(a, b, make):
    ours, theirs = make(a, "ours", start=True), make(b, "theirs", start=True)
    for _ in range(20):
        jobs = [
            ours.migrate(to=b if ours.host is a else a, wait=False),
            theirs.migrate(to=a if theirs.host is b else b, wait=False),
        ]
        for job in jobs:
            job.wait(60)
    assert (ours.host.name, theirs.host.name) == ("a", "b")
