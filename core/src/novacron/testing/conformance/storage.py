"""Storage pools, volumes and a VM's disks."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from novacron.errors import (
    AlreadyExistsError,
    DeviceNotFoundError,
    ImageNotFoundError,
    InvalidSpecError,
    InvalidStateError,
    StoragePoolNotFoundError,
    VolumeNotFoundError,
)
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.records.volumes import Volume
from novacron.specs import DiskSpec, VolumeSpec
from novacron.testing.conformance.case import Conformance, Create, needs
from novacron.testing.target import Target

MIB = 2**20
LIFE = ("volume_create", "volume_get", "volume_list", "volume_delete")
CreateVolume = Callable[..., Volume]


class TestStorage(Conformance):
    """What VMs' disks are kept in."""

    @pytest.fixture
    def create_volume(self, host: HostHandle, target: Target, prefix: str) -> Iterator[CreateVolume]:
        """Makes raw volumes; what is left of them after the test is deleted."""
        made: list[str] = []

        def make(name: str = "volume", capacity: int = 2 * MIB) -> Volume:
            spec = VolumeSpec(name=f"{prefix}-{name}", capacity=capacity, format="raw")
            volume: Volume = host.invoke("volume_create", pool=target.pool, spec=spec)
            made.append(volume.name)
            return volume

        yield make
        for name in made:
            try:
                host.invoke("volume_delete", pool=target.pool, volume=name)
            except VolumeNotFoundError:
                pass

    @needs("pool_list", "pool_get")
    def test_pools_are_listed_and_found(self, host: HostHandle) -> None:
        """Each by its name, as the listing has it; an unknown one is not found, and the hint names those there are."""
        for pool in host.pools.list():
            assert host.pools[pool.name].replace(available_bytes=0, allocated_bytes=0) == pool.replace(
                available_bytes=0, allocated_bytes=0
            )
        with pytest.raises(StoragePoolNotFoundError) as caught:
            host.pools["conform-nowhere"]
        assert caught.value.hint

    @needs(*LIFE)
    def test_a_volume_is_as_asked(self, host: HostHandle, target: Target, create_volume: CreateVolume) -> None:
        """Found by the name that its record has, and listed."""
        volume = create_volume()
        assert volume.capacity_bytes == 2 * MIB
        assert host.pools[target.pool].name == volume.pool
        found = host.invoke("volume_get", pool=target.pool, volume=volume.name)
        assert (found.name, found.path, found.capacity_bytes) == (volume.name, volume.path, volume.capacity_bytes)
        assert volume.name in {v.name for v in host.pools.volumes(target.pool)}

    @needs(*LIFE)
    def test_a_deleted_volume_is_gone(self, host: HostHandle, target: Target, create_volume: CreateVolume) -> None:
        """Nothing finds it, and deleting it again says so."""
        volume = create_volume()
        assert host.pools.delete_volume(volume.name, target.pool).name == volume.name
        assert volume.name not in {v.name for v in host.pools.volumes(target.pool)}
        for operation in ("volume_get", "volume_delete"):
            with pytest.raises(VolumeNotFoundError):
                host.invoke(operation, pool=target.pool, volume=volume.name)

    @needs(*LIFE)
    def test_a_taken_name_is_refused(self, host: HostHandle, target: Target, create_volume: CreateVolume) -> None:
        """The first volume stays as it is."""
        volume = create_volume()
        with pytest.raises(AlreadyExistsError):
            create_volume(capacity=3 * MIB)
        assert host.invoke("volume_get", pool=target.pool, volume=volume.name).capacity_bytes == 2 * MIB

    @needs(*LIFE, "volume_resize")
    def test_a_volume_grows(self, host: HostHandle, target: Target, create_volume: CreateVolume) -> None:
        """And shrinks only when that is asked for, if at all."""
        volume = create_volume()
        assert host.pools.resize_volume(volume.name, 3 * MIB, target.pool).capacity_bytes == 3 * MIB
        with pytest.raises(InvalidSpecError):
            host.pools.resize_volume(volume.name, MIB, target.pool)
        assert host.pools.volume(volume.name, target.pool).capacity_bytes == 3 * MIB

    @needs(*LIFE, "volume_upload", "volume_download")
    def test_content_goes_in_and_comes_out(self, host: HostHandle, target: Target, create_volume: CreateVolume) -> None:
        """Byte by byte; what was not sent is zero."""
        volume, content = create_volume(), bytes(range(256)) * 4096
        host.invoke("volume_upload", pool=target.pool, volume=volume.name, source=io.BytesIO(content))
        back = io.BytesIO()
        host.invoke("volume_download", pool=target.pool, volume=volume.name, target=back)
        assert back.getvalue()[: len(content)] == content
        assert not any(back.getvalue()[len(content) :])

    @needs(*LIFE, "volume_upload", "volume_download", "volume_clone")
    def test_a_copy_has_the_content_and_a_life_of_its_own(
        self, host: HostHandle, target: Target, create_volume: CreateVolume, prefix: str
    ) -> None:
        """Writing the first does not change the second."""
        volume = create_volume()
        host.invoke("volume_upload", pool=target.pool, volume=volume.name, source=io.BytesIO(b"first" * 200))
        copy = host.pools.clone_volume(volume.name, f"{prefix}-copy", target.pool)
        try:
            host.invoke("volume_upload", pool=target.pool, volume=volume.name, source=io.BytesIO(b"other" * 200))
            back = io.BytesIO()
            host.invoke("volume_download", pool=target.pool, volume=copy.name, target=back)
            assert back.getvalue()[:1000] == b"first" * 200
        finally:
            host.pools.delete_volume(copy.name, target.pool)

    @needs(*LIFE)
    def test_a_volume_that_a_vm_has_is_not_deleted(
        self, host: HostHandle, target: Target, create: Create, create_volume: CreateVolume
    ) -> None:
        """Until the VM is gone, which leaves it: it was there before."""
        volume = create_volume()
        vm = create(disks=[DiskSpec(path=f"{volume.pool}/{volume.name}", format="raw" if volume.format == "raw" else "vmdk")])
        with pytest.raises(InvalidStateError) as caught:
            host.pools.delete_volume(volume.name, target.pool)
        assert vm.name in str(caught.value)
        assert volume.path in vm.delete().kept
        assert host.pools.volume(volume.name, target.pool).path == volume.path

    @needs("disk_attach", "disk_detach")
    def test_a_disk_comes_and_goes(self, vm: VMHandle, target: Target) -> None:
        """It has a name that stays its own when another disk goes."""
        disk = _disk(target)
        first, second = vm.disks.attach(disk), vm.disks.attach(disk)
        assert {first.record.target, second.record.target} <= {d.target for d in vm.refresh().record.disks or ()}
        assert first.record.size_bytes == disk.size
        vm.disks[first.record.target].detach(delete=True)
        left = {d.target: d.source for d in vm.refresh().record.disks or ()}
        assert first.record.target not in left
        assert left[second.record.target] == second.record.source

    @needs("disk_attach", "disk_resize")
    def test_a_disk_grows(self, vm: VMHandle, target: Target) -> None:
        """The size is in the record; less than it has is refused."""
        disk = vm.disks.attach(_disk(target))
        size = int(disk.record.size_bytes or 0)
        assert disk.resize(size + 4 * MIB).record.size_bytes == size + 4 * MIB
        with pytest.raises(InvalidSpecError):
            disk.resize(size)

    @needs(*LIFE, "disk_attach", "disk_pull", "disk_commit")
    @pytest.mark.parametrize("operation", ["disk_pull", "disk_commit"])
    def test_a_disk_and_what_is_below_it_become_one(
        self, host: HostHandle, vm: VMHandle, target: Target, create_volume: CreateVolume, operation: str
    ) -> None:
        """Pulled it is backed by nothing; committed it is the one below; nobody may commit into what another needs."""
        base = create_volume("below")
        above = DiskSpec(source=base.path, pool=target.pool, bus=_disk(target).bus)
        disk = vm.disks.attach(above)
        own = disk.record.source
        assert disk.record.backing == base.path
        if operation == "disk_commit":
            other = vm.disks.attach(above)
            with pytest.raises(InvalidStateError):
                disk.commit()
            other.detach(delete=True)
            assert disk.commit().record.source == base.path
        else:
            assert disk.pull().record.source == own
        assert vm.refresh().disks[disk.record.target].record.backing is None
        vm.disks[disk.record.target].detach(delete=True)

    @needs("disk_detach", "disk_resize", "disk_limit", "disk_change_media")
    @pytest.mark.parametrize(
        ("operation", "more"),
        [("disk_detach", {"delete": False}), ("disk_resize", {"size": MIB}), ("disk_change_media", {"source": ""})],
        ids=["detach", "resize", "change media"],
    )
    def test_an_unknown_disk_is_not_found(self, host: HostHandle, vm: VMHandle, operation: str, more: dict[str, Any]) -> None:
        """The hint names those that the VM has."""
        with pytest.raises(DeviceNotFoundError) as caught:
            host.invoke(operation, vm=vm.id, disk="sdzz", **more)
        assert caught.value.hint

    @needs("pool_list")
    def test_an_unknown_pool_or_image_leaves_nothing(self, host: HostHandle, create: Create, target: Target, prefix: str) -> None:
        """Whatever was made before is gone again."""
        nowhere = DiskSpec(size="1MiB", pool="conform-nowhere")
        nothing = DiskSpec(source="image:conform-nothing", pool=target.pool)
        for disk, error in ((nowhere, StoragePoolNotFoundError), (nothing, (ImageNotFoundError, VolumeNotFoundError))):
            with pytest.raises(error):
                create(f"{prefix}-none", disks=[disk])
            assert f"{prefix}-none" not in host.vms


def _disk(target: Target) -> DiskSpec:
    if target.disk is None:
        pytest.skip("the target has no disk to give")
    return target.disk


__all__ = ["TestStorage"]
