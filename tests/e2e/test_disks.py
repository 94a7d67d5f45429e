"""A VM's disks on a real host: what is plugged in, grown or ejected is seen by the guest, and nothing is left behind."""

import subprocess
import uuid

import pytest

from novacron import errors

pytestmark = pytest.mark.lab
MIB = 2**20


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def names(lab):
    """What is in the pool, without the guests' logs."""
    return lambda: {p.name for p in lab.shared.iterdir() if not p.name.endswith(".log")}


def sectors(size):
    return size * MIB // 512


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_a_disk_is_plugged_into_a_running_guest_and_out_again(a, boot, names, machine):
    before = names()
    vm = boot(a, f"plug-{machine}", ticks=2, machine=machine)
    disk = vm.disks.attach(size="24MiB")
    assert disk.record.target == "vdb"
    assert disk.record.size_bytes == 24 * MIB
    vm.console.wait_for(f"vdb={sectors(24)}")
    assert [d.target for d in vm.refresh().record.disks] == ["vda", "vdb"]
    at = len(vm.console.text)
    vm.disks["vdb"].detach(delete=True)
    vm.console.wait_until(lambda: "NOVACRON DEVICES" in (new := vm.console.text[at:]) and "vdb" not in new, 30, "vdb gone")
    assert [d.target for d in vm.refresh().record.disks] == ["vda"]
    vm.stop()
    assert [d.target for d in vm.refresh().record.disks] == ["vda"]
    vm.delete()
    assert names() == before


def test_disks_of_a_stopped_vm_are_there_when_it_starts_and_go_with_it(a, boot, names):
    before = names()
    vm = boot(a, "cold", ticks=0, start=False)
    vm.disks.attach(size="8MiB")
    vm.disks.attach(size="12MiB", bus="scsi")
    assert [d.target for d in vm.record.disks] == ["vda", "vdb", "sda"]
    vm.start()
    vm.console.wait_for(f"vdb={sectors(8)}", 40)
    vm.delete(force=True)
    assert names() == before


def test_a_disk_that_is_kept_is_the_users_from_then_on(a, boot, names):
    vm = boot(a, "keeps", ticks=0, start=False)
    kept = vm.disks.attach(size="8MiB", name=f"kept-{uuid.uuid4().hex[:6]}.qcow2")
    vm.disks["vdb"].detach()
    vm.delete()
    (name,) = [n for n in names() if n.startswith("kept-")]
    assert kept.record.source.endswith(name)
    a.pools.delete_volume(name)


def test_a_guest_sees_its_disk_grow(a, boot):
    vm = boot(a, "grows", ticks=2)
    assert vm.disks["vda"].resize("96MiB").record.size_bytes == 96 * MIB
    vm.console.wait_for(f"vda={sectors(96)}")
    with pytest.raises(errors.InvalidSpecError, match="only grow"):
        vm.disks["vda"].resize("32MiB")
    vm.stop()
    vm.disks["vda"].resize("128MiB")
    vm.start()
    vm.console.wait_for(f"vda={sectors(128)}", 40)


def test_media_are_changed_and_ejected_while_the_guest_runs(lab, a, boot):
    isos = []
    for size in (1, 2):
        iso = lab.shared / f"medium-{uuid.uuid4().hex[:6]}.iso"
        with iso.open("wb") as file:
            file.truncate(size * MIB)
        isos.append(iso)
    a.invoke("pool_refresh", pool="default")
    try:
        vm = boot(a, "media", ticks=0, kernel=None, iso=str(isos[0]))
        (drive,) = [d for d in vm.disks if d.record.device == "cdrom"]
        assert drive.change_media(str(isos[1])).record.source == str(isos[1])
        assert drive.change_media().record.source is None
        assert drive.change_media(f"image:{isos[0].name}").record.source == str(isos[0])
        with pytest.raises(errors.ImageNotFoundError):
            drive.change_media("image:nope")
        with pytest.raises(errors.InvalidSpecError, match="CD-ROM"):
            vm.disks["vda"].change_media(str(isos[0]))
        vm.stop()
        assert drive.change_media(str(isos[1])).record.source == str(isos[1])
        vm.delete()
        assert all(iso.exists() for iso in isos)
    finally:
        for iso in isos:
            iso.unlink()


def test_limits_are_in_force_and_survive_a_restart(lab, a, boot):
    vm = boot(a, "limited", ticks=0, kernel=None)
    vm.disks["vda"].limit(read_iops=100, write_bytes_per_second="2MiB/s")
    vm.disks["vda"].limit(read_iops=50)

    def tune():
        said = lab.hosts[0].exec("virsh", "blkdeviotune", vm.name, "vda").stdout
        return {
            name.strip(): int(value)
            for name, _, value in (line.partition(":") for line in said.splitlines())
            if value.strip().isdigit()
        }

    for _ in range(2):
        assert tune()["read_iops_sec"] == 50
        assert tune()["write_bytes_sec"] == 2 * MIB
        vm.stop()
        vm.start()
    with pytest.raises(errors.InvalidSpecError, match="total"):
        vm.disks["vda"].limit(total_iops=5)
    vm.disks["vda"].limit(read_iops=0, write_bytes_per_second=0, total_iops=5)
    assert tune()["total_iops_sec"] == 5


def test_a_guest_that_holds_on_to_a_disk_is_said(a, boot, monkeypatch):
    from novacron_kvm.domains import devices

    monkeypatch.setattr(devices, "UNPLUG", 3.0)
    vm = boot(a, "holds", ticks=0, kernel=None)  # no guest at all: nobody answers
    vm.disks.attach(size="8MiB")
    with pytest.raises(errors.OperationTimeoutError) as caught:
        vm.disks["vdb"].detach()
    assert caught.value.outcome == "unknown"
    assert "vdb" in [d.target for d in vm.refresh().record.disks]


def test_what_fails_leaves_no_file(lab, a, boot, names):
    vm = boot(a, "fails", ticks=0, kernel=None)
    before = names()
    for fields, error in (
        ({"size": "8MiB", "target": "vda"}, errors.AlreadyExistsError),
        ({"size": "8MiB", "bus": "sata"}, errors.InvalidStateError),
        ({"size": "8MiB", "bus": "ide"}, errors.InvalidStateError),
        ({"size": "8MiB", "pool": "nope"}, errors.StoragePoolNotFoundError),
        ({"source": "image:nope"}, errors.ImageNotFoundError),
        ({"path": "/nowhere.qcow2"}, errors.ImageNotFoundError),
    ):
        with pytest.raises(error) as caught:
            vm.disks.attach(**fields)
        assert caught.value.hint
        assert names() == before, fields


def test_a_volume_that_a_snapshot_needs_is_not_deleted(a, boot):
    vm = boot(a, "snapped", ticks=0, start=False, disks=[{"size": "8MiB"}, {"size": "8MiB"}])
    vm.snapshots.create("one")
    with pytest.raises(errors.InvalidStateError, match="one"):
        vm.disks["vdb"].detach(delete=True)
    assert len(vm.refresh().record.disks) == 2


def test_two_vms_never_write_one_disk(lab, a, boot):
    first = boot(a, "first-writer", ticks=0, kernel=None)
    second = boot(a, "second-writer", ticks=0, kernel=None)
    with pytest.raises(errors.DiskLockedError):
        second.disks.attach(path=first.record.disks[0].source)
    assert [d.target for d in second.refresh().record.disks] == ["vda"]


def test_the_content_is_what_was_there(lab, a, boot):
    path = lab.shared / f"content-{uuid.uuid4().hex[:6]}.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"], check=True)
    a.invoke("pool_refresh", pool="default")
    vm = boot(a, "content", ticks=1)
    vm.disks.attach(path=str(path))
    vm.disks["vdb"].detach()
    vm.delete(force=True)
    assert path.exists()
    a.pools.delete_volume(path.name)
