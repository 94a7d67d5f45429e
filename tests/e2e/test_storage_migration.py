"""Moving a VM's disks to another storage pool on a real host, while its guest writes to them."""

import pytest

from novacron import errors
from novacron.specs import StoragePoolSpec

pytestmark = pytest.mark.lab


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def fast(a, tmp_path):
    """Another storage pool; empty again at the end."""
    a.invoke("pool_create", spec=StoragePoolSpec(name="fast", path=str(tmp_path / "fast")))
    yield tmp_path / "fast"
    left = list((tmp_path / "fast").iterdir())
    a.invoke("pool_delete", pool="fast")
    assert left == []


@pytest.mark.parametrize("running", [True, False])
def test_disks_move_and_nothing_that_the_guest_wrote_is_lost(lab, a, boot, guest_disk, fast, running):
    vm = boot(a, "moves", ticks=2 * running, start=running, disks=[{"size": "64MiB"}, {"size": "16MiB"}])
    old = [d.source for d in vm.record.disks]
    if not running:
        counted = guest_disk.write(vm, 1)
    moved = a.invoke("vm_migrate_storage", vm=vm.id, pool="fast", disks=())
    assert all(str(fast) in d.source for d in moved.disks)
    if running:
        assert moved.status == "running"
        vm.console.wait_for_more_ticks(30, 3)
        vm.stop()
        assert guest_disk.read(vm) >= vm.console.ticks[-1][0] - 1
    else:
        assert guest_disk.read(vm) == counted
    assert all(str(fast) in d.source for d in vm.refresh().record.disks), "also in the definition"
    assert not [path for path in old if (lab.shared / path.rpartition("/")[2]).exists()]
    vm.start()
    vm.delete(force=True)


def test_one_disk_of_two_moves(a, boot, fast):
    vm = boot(a, "one-moves", ticks=0, kernel=None, disks=[{"size": "16MiB"}, {"size": "16MiB"}])
    moved = a.invoke("vm_migrate_storage", vm=vm.id, pool="fast", disks=("vdb",))
    assert [str(fast) in d.source for d in moved.disks] == [False, True]
    vm.delete(force=True)


def test_a_full_pool_leaves_the_vm_where_it_was(lab, a, boot):
    host = lab.hosts[0]
    assert host.exec("sh", "-c", "mkdir -p /run/tight && mount -t tmpfs -o size=3m tmpfs /run/tight").returncode == 0
    a.invoke("pool_create", spec=StoragePoolSpec(name="tight", path="/run/tight"))
    try:
        vm = boot(a, "stays", ticks=0, start=False, disks=[{"size": "64MiB"}])
        host.exec("qemu-io", "-f", "qcow2", "-c", "write -P 7 4M 16M", vm.record.disks[0].source)
        vm.start()
        for _ in range(2):
            with pytest.raises((errors.ResourceAllocationError, errors.StorageError)) as caught:
                a.invoke("vm_migrate_storage", vm=vm.id, pool="tight", disks=())
            assert caught.value.hint
            assert "/run/tight" not in vm.refresh().record.disks[0].source
            assert a.pools.volumes("tight") == []
            if vm.status == "running":
                vm.console.wait_for_more_ticks(30, more=2)
                vm.stop()
    finally:
        a.invoke("pool_delete", pool="tight")
        host.exec("umount", "/run/tight")


def test_a_cancelled_move_leaves_the_vm_where_it_was(lab, a, boot, fast):
    vm = boot(a, "cancelled", ticks=1)
    job = a.submit("vm_migrate_storage", vm=vm.id, pool="fast", disks=())
    job.cancel()
    with pytest.raises(errors.OperationCancelledError):
        job.result(60)
    assert str(fast) not in vm.refresh().record.disks[0].source
    vm.console.wait_for_more_ticks(30, more=2)


def test_what_cannot_move_is_said(a, boot, fast):
    vm = boot(a, "bound", ticks=0, start=False)
    with pytest.raises(errors.DeviceNotFoundError):
        a.invoke("vm_migrate_storage", vm=vm.id, pool="fast", disks=("vdz",))
    with pytest.raises(errors.StoragePoolNotFoundError):
        a.invoke("vm_migrate_storage", vm=vm.id, pool="nope", disks=())
    vm.snapshots.create("one")
    with pytest.raises(errors.InvalidStateError, match="snapshots"):
        a.invoke("vm_migrate_storage", vm=vm.id, pool="fast", disks=())
