"""Live and cold migration between two real hosts; after any failure exactly one has the VM."""

import threading
import time
from itertools import pairwise

import pytest

from novacron import errors

pytestmark = pytest.mark.lab


def places(vm, hosts):
    """Return {host: status} of every host that has the VM."""
    found = {}
    for host in hosts:
        try:
            found[host.name] = host.vms[vm.id].status
        except errors.VMNotFoundError:
            pass
    return found


def assert_only_at(vm, host, hosts, status="running"):
    assert places(vm, hosts) == {host.name: status}


def test_the_guest_goes_on_counting_over_a_live_migration(lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "counter", ticks=2)
    seen = []
    job = vm.migrate(b, wait=False)
    job.listen(seen.append)
    assert job.result(120).host is b
    assert_only_at(vm, b, lab_hosts)
    vm.console.wait_for_more_ticks()
    ticks = vm.console.ticks
    assert [n for n, _ in ticks] == list(range(1, len(ticks) + 1)), "a second was lost or the guest restarted"
    report = vm.last_migration
    assert report.downtime_seconds is not None
    assert report.transferred_bytes > 2**20
    gaps = [later - earlier for (_, earlier), (_, later) in pairwise(ticks)]
    assert max(gaps) < 1.5 + report.downtime_seconds
    assert [p.message for p in seen][:1] == ["checking"] or "migrating" in {p.message for p in seen}
    assert vm.record.status == "running"


def test_snapshots_move_with_the_vm_and_can_be_reverted_there(lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "carried", ticks=2)
    vm.snapshots.create("first", description="before the move")
    vm.snapshots.create("second")
    vm.migrate(b)
    assert [(s.record.name, s.record.parent, s.record.host) for s in vm.snapshots.list()] == [
        ("first", None, b.name), ("second", "first", b.name),
    ]  # fmt: skip
    assert vm.snapshots["second"].record.current
    vm.console.wait_for_more_ticks(more=3)
    vm.snapshots["first"].revert()
    vm.console.wait_until(lambda: any(x[0] > y[0] for x, y in pairwise(vm.console.ticks)), 30, "a second that was counted before")
    assert_only_at(vm, b, lab_hosts)


def test_a_stopped_vm_moves_cold(lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "cold", ticks=0, start=False)
    vm.migrate(b)
    assert_only_at(vm, b, lab_hosts, "stopped")
    vm.start()
    vm.console.wait_for("NOVACRON TICK 1")


def test_every_failed_pre_check_is_named_at_once_and_nothing_has_changed(lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "unfit", ticks=0)
    boot(b, "unfit", ticks=0, start=False, disks=[{"size": "1MiB", "name": "unfit-2.qcow2"}])
    check = vm.migration_check(b)
    assert not check.ok
    assert any("has a VM 'unfit' already" in failure for failure in check.failures)
    with pytest.raises(errors.MigrationCheckError) as caught:
        vm.migrate(b)
    assert list(check.failures) == caught.value.failures
    assert caught.value.outcome == "failed"
    assert vm.refresh().status == "running"


def test_a_migration_to_the_same_host_is_refused(lab_hosts, boot, lab):
    import novacron

    a = lab_hosts[0]
    vm = boot(a, "stay", ticks=0)
    with novacron.connect(lab.hosts[0].uri, name="other-name") as same:
        assert "the same host" in " ".join(vm.migration_check(same).failures)


def test_a_cancelled_migration_leaves_the_vm_running_at_the_source(lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "cancelled", load=40)
    vm.snapshots.create("kept")
    job = vm.migrate(b, wait=False, bandwidth="2MiB/s")
    moving = threading.Event()
    job.listen(lambda p: moving.set() if p.details.get("transferred_bytes") else None)
    assert moving.wait(30)
    job.cancel()
    with pytest.raises(errors.OperationCancelledError) as caught:
        job.result(60)
    assert caught.value.outcome == "failed"
    assert_only_at(vm, a, lab_hosts)
    assert [s.name for s in vm.snapshots.list()] == ["kept"]
    vm.console.wait_for_more_ticks()


def test_a_migration_that_passes_its_deadline_is_rolled_back(lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "late", load=40)
    began = time.monotonic()
    with pytest.raises(errors.OperationTimeoutError) as caught:
        vm.migrate(b, bandwidth="1MiB/s", deadline=3, auto_converge=False)
    assert caught.value.outcome == "failed"
    assert caught.value.hint
    assert time.monotonic() - began < 40
    assert_only_at(vm, a, lab_hosts)
    vm.console.wait_for_more_ticks()


def test_a_migration_under_way_can_be_given_more_bandwidth(lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "tuned", load=40)
    job = vm.migrate(b, wait=False, bandwidth="1MiB/s", max_downtime=2, deadline=90)
    moving = threading.Event()
    job.listen(lambda p: moving.set() if p.details.get("transferred_bytes") else None)
    assert moving.wait(30)
    a.invoke("migration_tune", vm=vm.id, bandwidth=2**30, max_downtime=5.0, post_copy=False)
    job.result(100)
    assert_only_at(vm, b, lab_hosts)


def test_a_migration_under_memory_load_arrives(lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "loaded", load=30)
    vm.migrate(b, max_downtime=1)
    vm.migrate(a, max_downtime=1)
    assert_only_at(vm, a, lab_hosts)
    ticks = vm.console.ticks
    assert [n for n, _ in ticks] == list(range(1, len(ticks) + 1))


def test_copying_a_disk_onto_itself_is_refused(lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "copied", ticks=1)
    check = vm.migration_check(b, storage="copy")
    assert "already has the file of the disk vda" in " ".join(check.failures)
    assert_only_at(vm, a, lab_hosts)


def test_a_name_taken_on_shared_storage_is_refused_and_its_owner_keeps_its_disk(lab, lab_hosts, boot):
    a, b = lab_hosts
    boot(a, "owner", ticks=0, start=False)
    with pytest.raises(errors.AlreadyExistsError):
        b.vms.create(name="owner", disks=[{"size": "1MiB"}])
    assert (lab.shared / "owner-vda.qcow2").exists()
    assert "owner" not in b.vms
