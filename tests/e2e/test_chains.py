"""Disks and the files that they are backed by become one, and the guest's data is right before, during and after."""

import hashlib
import subprocess

import pytest

from novacron import errors

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

MIB = 2**20


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def image(lab, a):
    """An image of 48 MiB that is half full, whose second MiB says 4711."""
    raw = lab.shared / "below.raw"
    with raw.open("wb") as file:
        for number in range(24):
            file.write(hashlib.sha256(bytes([number])).digest() * (MIB // 32))
        file.truncate(48 * MIB)
        file.seek(512 * 2048)
        file.write(b"4711".ljust(512))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, lab.shared / "below.qcow2"], check=True)
    raw.unlink()
    a.invoke("pool_refresh", pool="default")
    yield lab.shared / "below.qcow2"
    (lab.shared / "below.qcow2").unlink(missing_ok=True)
    a.invoke("pool_refresh", pool="default")


def content(lab, path):
    """Return the digest of a disk's content as a guest sees it."""
    out = lab.shared / "content.raw"
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", path, out], check=True)
    try:
        return hashlib.sha256(out.read_bytes()).hexdigest()
    finally:
        out.unlink()


@pytest.mark.parametrize("running", [True, False])
def test_a_pulled_disk_needs_its_original_no_more(lab, a, boot, guest_disk, image, running):
    vm = boot(a, f"pulled-{running}", disks=[{"source": "image:below", "size": "48MiB"}], ticks=2 * running, start=running)
    disk = vm.refresh().disks["vda"]
    assert disk.record.backing == str(image)
    before = None if running else content(lab, disk.record.source)
    assert disk.pull().record.backing is None
    if running:
        assert "NOVACRON DISK TICK 4711" in vm.console.text
        vm.console.wait_for_more_ticks(more=2)  # it says a second before it writes it
        vm.stop()
    else:
        assert content(lab, disk.record.source) == before
    kept = content(lab, disk.record.source)
    image.unlink()
    a.invoke("pool_refresh", pool="default")
    assert content(lab, disk.record.source) == kept
    last = guest_disk.read(vm)
    vm.start()
    vm.console.wait_for(f"NOVACRON DISK TICK {last}\n")


@pytest.mark.parametrize("running", [True, False])
def test_a_committed_disk_goes_on_in_the_file_below(lab, a, boot, image, running):
    vm = boot(a, f"committed-{running}", disks=[{"source": "image:below", "size": "48MiB"}], ticks=2 * running, start=running)
    disk = vm.refresh().disks["vda"]
    overlay = lab.shared / disk.record.source.rpartition("/")[2]
    before = None if running else content(lab, overlay)
    assert disk.commit().record.source == str(image)
    assert not overlay.exists()
    if running:
        vm.console.wait_for_more_ticks(more=2)  # it says a second before it writes it
        vm.stop()
    else:
        assert content(lab, image) == before
    assert vm.refresh().disks["vda"].record.source == str(image), "also when it starts anew"
    vm.start()
    vm.console.wait_for_more_ticks()
    vm.delete(force=True)
    assert image.exists(), "it was not made for the VM"


def test_nobody_commits_into_what_another_needs(a, boot, image):
    vm = boot(a, "committing", disks=[{"source": "image:below"}], ticks=0, start=False)
    other = boot(a, "also-on-it", disks=[{"source": "image:below"}], ticks=0, start=False)
    with pytest.raises(errors.InvalidStateError, match="also-on-it") as caught:
        vm.disks["vda"].commit()
    assert "pull" in caught.value.hint
    other.disks["vda"].pull()
    vm.disks["vda"].commit()
    with pytest.raises(errors.InvalidStateError, match="nothing below"):
        vm.disks["vda"].commit()
    assert vm.disks["vda"].pull().record.backing is None


def test_snapshots_are_not_robbed_of_what_they_need(a, boot, image):
    vm = boot(a, "with-snapshot", disks=[{"source": "image:below"}], ticks=0, start=False)
    vm.snapshots.create("one")
    for refused in (vm.disks["vda"].commit, vm.disks["vda"].pull):
        with pytest.raises(errors.InvalidStateError, match="snapshots"):
            refused()


def test_a_pull_that_is_cancelled_leaves_the_disk_as_it_was(lab, a, boot, image):
    vm = boot(a, "cancelled-pull", disks=[{"source": "image:below"}], ticks=1)
    job = vm.refresh().disks["vda"].pull(wait=False)
    job.cancel()
    try:
        job.result(60)
    except errors.OperationCancelledError:
        assert vm.refresh().disks["vda"].record.backing == str(image)
    else:
        assert vm.refresh().disks["vda"].record.backing is None, "it was quicker than the wish to cancel it"
    vm.console.wait_for_more_ticks()
    assert vm.disks["vda"].pull().record.backing is None
