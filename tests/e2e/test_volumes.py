"""Volumes on a real host: copying, converting, resizing, wiping, streams; nothing half-made stays, nothing in use is touched."""

import io
import os
import subprocess
import threading
import uuid

import libvirt
import pytest

from novacron import errors, specs
from novacron.specs import VolumeSpec
from novacron_kvm.storage import busy_pools

pytestmark = pytest.mark.lab
MIB = 2**20


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def make(lab, a):
    """Return a function that makes a volume; all of its name are gone at the end."""
    prefix = f"vol{uuid.uuid4().hex[:6]}"

    def made(name="one", **fields):
        spec = VolumeSpec(name=f"{prefix}-{name}", **({"capacity": 8 * MIB} | fields))
        return a.invoke("volume_create", pool="default", spec=spec)

    made.name = lambda name: f"{prefix}-{name}"
    yield made
    for volume in sorted(a.pools.volumes(), key=lambda v: v.backing or "", reverse=True):
        if volume.name.startswith(prefix):
            a.invoke("volume_delete", pool="default", volume=volume.name)


def written(lab, volume, byte=0xAB, size=MIB):
    subprocess.run(
        ["qemu-io", "-f", volume.format, "-c", f"write -P {byte} 0 {size}", lab.shared / volume.name],
        check=True,
        capture_output=True,
    )


def holds(lab, volume, byte=0xAB, size=MIB):
    """Whether a volume begins with so many of a byte."""
    done = subprocess.run(
        ["qemu-io", "-r", "-f", volume.format, "-c", f"read -P {byte} 0 {size}", lab.shared / volume.name],
        check=False,
        capture_output=True,
    )
    return done.returncode == 0 and b"verification failed" not in done.stdout


@pytest.mark.parametrize("format_", ["qcow2", "raw"])
def test_a_clone_has_the_content_of_its_own(lab, a, make, format_):
    source = make(format=format_)
    written(lab, source)
    copy = a.invoke("volume_clone", pool="default", volume=source.name, name=make.name("copy"))
    assert (copy.format, copy.capacity_bytes, copy.backing) == (format_, 8 * MIB, None)
    assert holds(lab, copy)
    written(lab, copy, 0x11)
    assert holds(lab, source)


@pytest.mark.parametrize(("of", "to"), [("qcow2", "raw"), ("raw", "qcow2"), ("qcow2", "vmdk"), ("raw", "vdi")])
def test_a_volume_is_converted(lab, a, make, of, to):
    source = make(format=of)
    written(lab, source)
    copy = a.invoke("volume_convert", pool="default", volume=source.name, name=make.name("copy"), format=to)
    assert copy.format == to
    assert holds(lab, copy)


def test_a_clone_of_a_backed_volume_needs_nothing_below_it(lab, a, make):
    below = make("below")
    written(lab, below)
    top = make("top", capacity=None, backing=below.name)
    copy = a.invoke("volume_clone", pool="default", volume=top.name, name=make.name("copy"))
    assert copy.backing is None
    assert holds(lab, copy)


def test_a_volume_grows_and_shrinks_only_when_that_is_said(a, make):
    volume = make(format="raw")
    assert a.invoke("volume_resize", pool="default", volume=volume.name, size=16 * MIB, shrink=False).capacity_bytes == 16 * MIB
    with pytest.raises(errors.InvalidSpecError, match="shrink"):
        a.invoke("volume_resize", pool="default", volume=volume.name, size=4 * MIB, shrink=False)
    assert a.invoke("volume_resize", pool="default", volume=volume.name, size=4 * MIB, shrink=True).capacity_bytes == 4 * MIB


@pytest.mark.parametrize("format_", ["qcow2", "raw"])
def test_wiping_leaves_a_blank_volume_of_the_same_kind(lab, a, make, format_):
    volume = make(format=format_)
    written(lab, volume)
    wiped = a.invoke("volume_wipe", pool="default", volume=volume.name)
    assert (wiped.format, wiped.capacity_bytes) == (format_, 8 * MIB)
    assert holds(lab, wiped, 0)


def test_a_wiped_overlay_is_backed_as_before_and_a_full_image_is_full_again(lab, a, make):
    base = make("below.qcow2", format="qcow2")
    above = make("above.qcow2", format="qcow2", capacity=8 * MIB, backing=base.name)
    full = make("full.qcow2", format="qcow2", preallocate=True)
    assert a.invoke("volume_wipe", pool="default", volume=above.name).backing == base.path
    assert full.allocated_bytes >= 8 * MIB
    assert a.invoke("volume_wipe", pool="default", volume=full.name).allocated_bytes >= 8 * MIB


def absurd_capacity(image):
    with image.open("r+b") as file:
        file.seek(24)
        file.write((2**62).to_bytes(8, "big"))


def backing_file_that_is_gone(image):
    subprocess.run(["qemu-img", "rebase", "-q", "-u", "-F", "raw", "-b", "/no/such/base.raw", image], check=True)


def damaged_extension(image):
    with image.open("r+b") as file:
        file.seek(8)
        file.write((2**40).to_bytes(8, "big") + (1000).to_bytes(4, "big"))


@pytest.mark.parametrize("damage", [absurd_capacity, backing_file_that_is_gone])
def test_a_volume_that_can_not_be_made_anew_is_not_wiped(lab, a, make, damage):
    """libvirt makes a wiped image anew, from what its header says."""
    volume = make("damaged.qcow2")
    image = lab.shared / volume.name
    damage(image)
    a.pools.refresh("default")
    content, there = image.read_bytes(), {file.name for file in lab.shared.iterdir()}
    with pytest.raises(errors.StorageError, match=volume.name) as refused:
        a.invoke("volume_wipe", pool="default", volume=volume.name)
    assert "delete the volume" in refused.value.hint
    assert image.read_bytes() == content
    assert {file.name for file in lab.shared.iterdir()} == there


def test_a_volume_whose_damaged_header_still_says_enough_is_wiped(lab, a, make):
    volume = make("damaged.qcow2")
    with (lab.shared / volume.name).open("r+b") as file:
        file.seek(8)
        file.write((2**40).to_bytes(8, "big") + (1000).to_bytes(4, "big"))  # the place of the backing file's name
    a.pools.refresh("default")
    wiped = a.invoke("volume_wipe", pool="default", volume=volume.name)
    assert (wiped.format, wiped.capacity_bytes) == ("qcow2", volume.capacity_bytes)


@pytest.fixture
def uploading(lab, make, monkeypatch):
    """A volume that another client uploads to, a function that ends the upload, and an event: NovaCron waits for that.

    However slow the machine is, something is uploaded between two looks of NovaCron's.
    """
    volume = make(format="raw", capacity=64 * MIB)
    connection, ended, begun, waits = libvirt.open(lab.hosts[0].uri), *(threading.Event() for _ in range(3))
    image = lab.shared / volume.name

    def upload():
        target = connection.storageVolLookupByPath(volume.path)
        while not ended.is_set():
            stream = connection.newStream(0)
            target.upload(stream, 0, 0, 0)
            for _ in range(64):
                stream.send(bytes(65536))
                begun.set()
            stream.finish()

    def sleep(seconds):
        waits.set()
        before = image.stat().st_mtime_ns
        while image.stat().st_mtime_ns == before and not ended.wait(0.01):
            pass

    def end():
        ended.set()
        thread.join(60)

    thread = threading.Thread(target=upload)
    thread.start()
    assert begun.wait(60)
    monkeypatch.setattr(busy_pools.time, "sleep", sleep)
    yield volume, end, waits
    end()
    connection.close()


def test_what_another_client_uploads_is_waited_for_and_then_named_as_busy(lab, a, uploading, monkeypatch):
    volume, end, waits = uploading
    where = {"pool": "default", "volume": volume.name}
    changes = (
        ("volume_resize", {"size": 128 * MIB, "shrink": False}),
        ("volume_wipe", {}),
        ("volume_upload", {"source": io.BytesIO(b"x")}),
        ("volume_delete", {}),
    )
    with monkeypatch.context() as at_once:
        at_once.setattr(busy_pools, "PATIENCE", 0.0)
        for operation, arguments in changes:
            with pytest.raises(errors.BusyError, match=volume.name) as caught:
                a.invoke(operation, **where, **arguments)
            assert "upload" in caught.value.hint
    waits.clear()
    deleted = a.submit("volume_delete", **where)
    assert waits.wait(60)
    assert not deleted.done()
    end()
    assert deleted.result(60).removed == (volume.path,)


def test_what_is_in_use_is_neither_deleted_nor_overwritten(lab, a, make, boot):
    volume, below = make("used"), make("below")
    top = make("top", capacity=None, backing=below.name)
    vm = boot(a, "user-of-volumes", ticks=0, start=False, disks=[{"path": volume.path}])
    for name, user in ((volume.name, vm.name), (below.name, top.name)):
        for operation, arguments in (("volume_delete", {}), ("volume_wipe", {}), ("volume_upload", {"source": io.BytesIO(b"x")})):
            with pytest.raises(errors.InvalidStateError, match=user):
                a.invoke(operation, pool="default", volume=name, **arguments)
    vm.start()
    with pytest.raises(errors.InvalidStateError) as caught:
        a.invoke("volume_resize", pool="default", volume=volume.name, size=64 * MIB, shrink=False)
    assert "novacron disk resize" in caught.value.hint
    vm.delete(force=True)
    assert a.pools.volume(volume.name), "it was not made for the VM"


def test_holes_are_kept_up_and_down(lab, a, make, tmp_path):
    volume = make(format="raw", capacity=64 * MIB)
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(64 * MIB)
        file.seek(16 * MIB)
        file.write(b"\xab" * MIB)
        file.seek(48 * MIB)
        file.write(b"\xcd" * 4096)
    seen = []
    with source.open("rb") as file:
        job = a.submit("volume_upload", pool="default", volume=volume.name, source=file)
        job.listen(lambda p: seen.append(p.fraction))
        job.result(60)
    assert (lab.shared / volume.name).read_bytes() == source.read_bytes()
    assert os.stat(lab.shared / volume.name).st_blocks * 512 < 3 * MIB
    assert seen[-1] == pytest.approx(1.0)
    target = tmp_path / "target"
    with target.open("wb") as file:
        a.invoke("volume_download", pool="default", volume=volume.name, target=file)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks * 512 < 3 * MIB


def test_a_stream_without_a_file_works_too(lab, a, make):
    volume = make(format="raw", capacity=MIB)
    data = os.urandom(MIB)
    a.invoke("volume_upload", pool="default", volume=volume.name, source=io.BytesIO(data))
    target = io.BytesIO()
    a.invoke("volume_download", pool="default", volume=volume.name, target=target)
    assert target.getvalue() == data


def test_an_image_that_is_uploaded_brings_its_own_format_and_size(lab, a, make, tmp_path):
    volume = make(format="raw", capacity=MIB)
    image = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "24M"], check=True)
    with image.open("rb") as file:
        record = a.invoke("volume_upload", pool="default", volume=volume.name, source=file)
    assert (record.format, record.capacity_bytes) == ("qcow2", 24 * MIB)


def test_a_file_that_breaks_off_is_said(a, make):
    class Broken(io.BytesIO):
        def read(self, *_):
            raise OSError("the disk is gone")

    volume = make(format="raw")
    with pytest.raises(errors.StorageError, match="the disk is gone"):
        a.invoke("volume_upload", pool="default", volume=volume.name, source=Broken(b"xxx"))


def test_too_much_for_a_volume_is_refused_before_anything_is_sent(lab, a, make):
    volume = make(format="raw", capacity=MIB)
    with pytest.raises(errors.InvalidSpecError):
        a.invoke("volume_upload", pool="default", volume=volume.name, source=io.BytesIO(b"x" * (MIB + 1)))


def test_a_cancelled_transfer_ends_at_once(a, make):
    volume = make(format="raw", capacity=512 * MIB)

    class Endless(io.RawIOBase):
        def read(self, count=-1):
            return b"x" * min(count, 65536)

    job = a.submit("volume_upload", pool="default", volume=volume.name, source=Endless())
    while not job.progress.details.get("bytes"):
        assert not job.done()
    job.cancel()
    with pytest.raises(errors.OperationCancelledError):
        job.result(60)


@pytest.mark.parametrize("name", ["../escaped", "a/b", "..", ""])
def test_a_copy_is_never_made_outside_of_the_pool(lab, a, make, name):
    source = make()
    before = {p.name for p in lab.shared.iterdir()}
    with pytest.raises(errors.InvalidSpecError):
        a.invoke("volume_clone", pool="default", volume=source.name, name=name)
    assert {p.name for p in lab.shared.iterdir()} == before


def test_a_full_pool_keeps_no_part_of_a_copy(lab, a, make):
    mounted = lab.hosts[0].exec("sh", "-c", "mkdir -p /run/small && mount -t tmpfs -o size=4m tmpfs /run/small")
    assert mounted.returncode == 0
    try:
        a.invoke("pool_create", spec=specs.StoragePoolSpec(name="small", path="/run/small"))
        with pytest.raises(errors.ResourceAllocationError):
            a.invoke(
                "volume_create", pool="small", spec=VolumeSpec(name="big", capacity=64 * MIB, format="raw", preallocate=True)
            )
        assert a.pools.volumes("small") == []
    finally:
        a.invoke("pool_delete", pool="small")
        lab.hosts[0].exec("umount", "/run/small")
