"""Volumes of storage pools."""

from __future__ import annotations

import io

import pytest

from novacron.errors import (
    AlreadyExistsError,
    InvalidSpecError,
    InvalidStateError,
    UnsupportedOperationError,
    VolumeNotFoundError,
)
from novacron.handles.host import HostHandle
from novacron.specs import DiskSpec
from novacron.testing.conformance.case import Conformance, Create, needs
from novacron.testing.conformance.storage import LIFE, MIB, CreateVolume, create_volume
from novacron.testing.target import Target


class TestVolumes(Conformance):
    """Volumes are created, filled, copied, resized and deleted."""

    create_volume = create_volume

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

    @needs(*LIFE, "volume_locked", "disk_attach", "vm_start", "vm_stop")
    def test_a_volume_is_locked_while_a_vm_uses_it(self, host: HostHandle, target: Target, create: Create) -> None:
        """Not before the VM is started, and not after it was stopped."""
        vm = create(disks=[target.disk])
        volume = str((vm.refresh().record.disks or ())[0].source).rpartition("/")[2]
        try:
            seen = [host.pools.volume_locked(volume, target.pool)]
        except UnsupportedOperationError as error:
            pytest.skip(str(error))
        vm.start()
        seen.append(host.pools.volume_locked(volume, target.pool))
        vm.stop()
        seen.append(host.pools.volume_locked(volume, target.pool))
        assert seen == [False, True, False]
        with pytest.raises(VolumeNotFoundError):
            host.pools.volume_locked("no-such-volume", target.pool)

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


__all__ = ["TestVolumes"]
