"""Datastores, volumes and disks on a real vSphere API."""

from __future__ import annotations

import io
import threading

import pytest

import novacron
from novacron import DiskSpec, VMSpec, errors

MIB = 2**20


@pytest.fixture
def volume(host):
    yield host.pools.create_volume("LocalDS_0", name="data", capacity="2MiB")
    host.pools.delete_volume("data", "LocalDS_0")


def test_datastores_are_pools(simulator):
    """With their size and what is free."""
    fresh = simulator()
    host = novacron.connect(fresh.uri(path="/DC0"), password=fresh.password)
    pools = host.pools.list()
    assert [p.name for p in pools] == ["LocalDS_0", "LocalDS_1"]
    for pool in pools:
        assert pool.active
        assert pool.capacity_bytes >= pool.available_bytes > 0
    assert host.pools.refresh("LocalDS_1").name == "LocalDS_1"
    with pytest.raises(errors.StoragePoolNotFoundError) as caught:
        host.pools["nowhere"]
    assert "LocalDS_0" in caught.value.hint


def test_a_volume_lives(host, volume):
    """Made, found by its name with and without ending, grown, copied, deleted."""
    pools = host.pools
    assert (volume.name, volume.format, volume.capacity_bytes) == ("data.vmdk", "vmdk", 2 * MIB)
    assert pools.volume("data.vmdk", "LocalDS_0") == pools.volume("data", "LocalDS_0") == volume
    assert pools.resize_volume("data", "3MiB", "LocalDS_0").capacity_bytes == 3 * MIB
    with pytest.raises(errors.InvalidSpecError, match="shrink"):
        pools.resize_volume("data", "1MiB", "LocalDS_0", shrink=True)
    pools.clone_volume("data", "copy", "LocalDS_0")
    assert {"data.vmdk", "copy.vmdk"} <= {v.name for v in pools.volumes("LocalDS_0")}
    assert pools.delete_volume("copy", "LocalDS_0").removed == ("[LocalDS_0] copy.vmdk",)
    with pytest.raises(errors.VolumeNotFoundError):
        pools.volume("copy", "LocalDS_0")
    with pytest.raises(errors.AlreadyExistsError):
        pools.create_volume("LocalDS_0", name="data", capacity="1MiB")
    with pytest.raises(errors.InvalidSpecError, match="vmdk"):
        pools.create_volume("LocalDS_0", name="other", capacity="1MiB", format="qcow2")


def test_content_goes_there_and_back(host, volume, tmp_path):
    """What was written is read; a source that is too short is followed by zeros, one that is too long is refused."""
    content, file = bytes(range(256)) * 4096, tmp_path / "content"
    file.write_bytes(content)
    host.pools.upload(file, "data", "LocalDS_0")
    host.pools.download("data", tmp_path / "back", "LocalDS_0")
    assert (tmp_path / "back").read_bytes() == content + bytes(2 * MIB - len(content))
    with pytest.raises(errors.InvalidSpecError, match="capacity"):
        host.invoke("volume_upload", pool="LocalDS_0", volume="data", source=io.BytesIO(bytes(3 * MIB)))


def test_a_cancelled_download_ends(host, volume):
    """Between two chunks, and the volume is as before."""
    host.invoke("volume_upload", pool="LocalDS_0", volume="data", source=io.BytesIO(b"x"))
    begun, go = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def write(self, data):
            begun.set()
            assert go.wait(60)
            return super().write(data)

    job = host.submit("volume_download", pool="LocalDS_0", volume="data", target=Slow())
    assert begun.wait(60)
    job.cancel()
    go.set()
    with pytest.raises(errors.OperationCancelledError):
        job.result(60)
    assert host.pools.volume("data", "LocalDS_0").capacity_bytes == 2 * MIB


def test_an_image_is_uploaded_as_it_is(host):
    """An ISO is no disk: it has no descriptor, and is made by the upload."""
    content, back = b"CD001" * 1000, io.BytesIO()
    host.invoke("volume_upload", pool="LocalDS_0", volume="tools.iso", source=io.BytesIO(content))
    host.invoke("volume_download", pool="LocalDS_0", volume="tools.iso", target=back)
    assert back.getvalue() == content
    vm = host.vms.create(VMSpec(name="with-cd", memory="64MiB", iso="LocalDS_0/tools.iso"))
    drive = next(d for d in vm.record.disks if d.device == "cdrom")
    assert (drive.target, drive.source) == ("hda", "[LocalDS_0] tools.iso")
    assert vm.disks["hda"].change_media("").record.source is None
    assert vm.disks["hda"].change_media("LocalDS_0/tools.iso").record.source == "[LocalDS_0] tools.iso"
    vm.delete()
    assert host.pools.delete_volume("tools.iso", "LocalDS_0").removed


def test_a_volume_in_use_stays(host, volume):
    """Neither deleted, wiped nor written; and it outlives the VM that it was given to."""
    vm = host.vms.create(VMSpec(name="user", memory="64MiB", disks=[DiskSpec(path="LocalDS_0/data")]))
    assert vm.record.disks[0].source == "[LocalDS_0] data.vmdk"
    for operation, more in (("volume_delete", {}), ("volume_wipe", {}), ("volume_upload", {"source": io.BytesIO(b"x")})):
        with pytest.raises(errors.InvalidStateError, match="user"):
            host.invoke(operation, pool="LocalDS_0", volume="data", **more)
    assert vm.delete().kept == ("[LocalDS_0] data.vmdk",)
    assert host.pools.volume("data", "LocalDS_0") == volume


def test_disks_are_named_by_their_place(host):
    """A disk's name stays when another goes, and the free place is used again."""
    vm = host.vms.create(VMSpec(name="many", memory="64MiB", disks=[DiskSpec(size="1MiB") for _ in range(9)]))
    assert [d.target for d in vm.record.disks] == [f"sd{c}" for c in "abcdefghi"]
    vm.disks["sdb"].detach(delete=True)
    assert [d.target for d in vm.refresh().record.disks] == [f"sd{c}" for c in "acdefghi"]
    assert vm.disks.attach(size="1MiB").record.target == "sdb"
    assert vm.disks.attach(size="1MiB", bus="sata").record.target == "hde"
    assert vm.disks.attach(size="1MiB", bus="nvme").record.target == "nvme0n1"
    assert vm.disks.attach(size="1MiB", target="sdk").record.target == "sdk"
    with pytest.raises(errors.DeviceNotFoundError) as caught:
        host.invoke("disk_detach", vm=vm.id, disk="sdz", delete=False)
    assert "sda" in caught.value.hint
    vm.delete()


def test_a_disk_grows_and_never_shrinks(host):
    """The size is in the record at once."""
    vm = host.vms.create(VMSpec(name="growing", memory="64MiB", disks=[DiskSpec(size="1MiB")]))
    assert vm.disks["sda"].resize("5MiB").record.size_bytes == 5 * MIB
    with pytest.raises(errors.InvalidSpecError, match="shrink"):
        vm.disks["sda"].resize("1MiB")
    assert vm.refresh().record.disks[0].size_bytes == 5 * MIB
    vm.delete()


def test_a_disk_is_not_smaller_than_its_image(host, volume, create):
    """A VM is not created with it, and a VM that exists keeps no half-made disk."""
    small = DiskSpec(source="LocalDS_0/data", size="1MiB")
    before = {each.path for each in host.pools.volumes("LocalDS_0")} | {each.path for each in host.pools.volumes("LocalDS_1")}
    with pytest.raises(errors.InvalidSpecError, match="at least the size of the image, 2"):
        host.vms.create(VMSpec(name="too-small", memory="64MiB", disks=[small]))
    assert "too-small" not in host.vms
    assert {each.path for each in host.pools.volumes("LocalDS_0")} | {
        each.path for each in host.pools.volumes("LocalDS_1")
    } == before
    vm = create("stays-as-it-is")
    with pytest.raises(errors.InvalidSpecError, match="at least the size of the image, 2"):
        vm.disks.attach(small)
    assert vm.refresh().record.disks == ()


def test_images_are_copied_in_the_spec_s_order(host, volume):
    """The disk from an image comes where the spec says, grown to its size; the image stays as it was."""
    spec = VMSpec(
        name="from-image",
        memory="64MiB",
        disks=[
            DiskSpec(source="LocalDS_0/data", size="4MiB"),
            DiskSpec(size="1MiB"),
            DiskSpec(source="image:data", pool="LocalDS_0"),
        ],
    )
    vm = host.vms.create(spec)
    assert [(d.target, d.size_bytes) for d in vm.record.disks] == [("sda", 4 * MIB), ("sdb", MIB), ("sdc", 2 * MIB)]
    assert "[LocalDS_0] data.vmdk" not in {d.source for d in vm.record.disks}
    assert len(vm.delete().removed) == 3
    assert host.pools.volume("data", "LocalDS_0") == volume


def test_an_unknown_image_leaves_nothing(host):
    """The VM was there already; it goes again."""
    with pytest.raises(errors.NotFoundError):
        host.vms.create(
            VMSpec(name="no-image", memory="64MiB", disks=[DiskSpec(size="1MiB"), DiskSpec(source="LocalDS_0/nothing")])
        )
    assert "no-image" not in host.vms
    assert not [v.name for v in host.pools.volumes("LocalDS_0") if v.name.startswith("no-image")]


def test_disk_limits_are_vsphere_s(host):
    """Requests per second of both directions; anything else is refused by name."""
    vm = host.vms.create(VMSpec(name="limited", memory="64MiB", disks=[DiskSpec(size="1MiB")]))
    vm.disks["sda"].limit(total_iops=100)
    with pytest.raises(errors.InvalidSpecError) as caught:
        vm.disks["sda"].limit(read_iops=5)
    assert [p.path for p in caught.value.problems] == ["read_iops"]
    vm.delete()


@pytest.mark.parametrize("store", ["LocalDS_0", "LocalDS_1"])
def test_a_vms_own_files_go_to_the_datastore_of_its_first_disk(host, create, govc, store):
    """As `govc vm.create -ds` puts them; without a disk they go to the one with the most free space."""
    create("homely", disks=[DiskSpec(size="1MiB", pool=store), DiskSpec(size="1MiB", pool="LocalDS_0")])
    (file,) = govc.lines("object.collect", "-s", "/DC0/vm/homely", "config.files.vmPathName")
    assert file.startswith(f"[{store}] ")


def test_a_disk_without_a_pool_goes_to_the_datastore_of_the_vm(simulator, tmp_path):
    """Not to the one with the most free space; a medium is looked for there too."""
    from novacron_lab.govc import Govc

    vcenter = simulator("-machines", "0")
    govc = Govc(vcenter)
    with novacron.connect(vcenter.uri(path="/DC0"), password=vcenter.password) as host:
        free = {pool.name: pool.available_bytes for pool in host.pools.list()}
        fullest = min(free, key=lambda name: (free[name], name))
        other = max(free, key=lambda name: (free[name], name))
        assert fullest != other
        vm = host.vms.create(name="web1", memory="64MiB", disks=[{"size": "1MiB", "pool": fullest}])
        vm.disks.attach(size="1MiB")
        vm.disks.attach(size="1MiB", pool=other)
        vm.disks.attach(device="cdrom", source="image:tools.iso")
        devices = govc.json("device.info", "-vm", "/DC0/vm/web1")["devices"]
        files = [each["backing"].get("fileName", "") for each in devices if each.get("backing")]
        stores = [file.partition("]")[0][1:] for file in files if ".vmdk" in file]
        assert stores == [fullest, fullest, other]
        assert f"[{fullest}] tools.iso" in files
