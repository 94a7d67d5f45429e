"""A host's storage pools and their volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, Unpack, overload

from novacron.errors import VolumeNotFoundError
from novacron.handles.collection import Collection
from novacron.handles.files import new_file
from novacron.handles.following import finish
from novacron.records.pools import StoragePool
from novacron.records.volumes import Volume
from novacron.units import parse_size

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.jobs import Job
    from novacron.records.vm import Deleted
    from novacron.specs.keywords import StoragePoolFields, VolumeFields

# The collection has a method named list, so annotations below it need another name.
_Volumes: TypeAlias = list[Volume]


class PoolCollection(Collection[StoragePool]):
    """A host's storage pools and their volumes."""

    _title = "storage pools"

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def list(self) -> list[StoragePool]:
        """Return all storage pools, sorted by name."""
        result: list[StoragePool] = self._host.invoke("pool_list")
        return result

    def _all(self) -> Sequence[StoragePool]:
        return self.list()

    def _find(self, pool: str) -> StoragePool:
        result: StoragePool = self._host.invoke("pool_get", pool=pool)
        return result

    def create(self, **fields: Unpack[StoragePoolFields]) -> StoragePool:
        """Create a storage pool from `StoragePoolSpec`'s fields."""
        from novacron.specs import StoragePoolSpec

        result: StoragePool = self._host.invoke("pool_create", spec=StoragePoolSpec.parse(fields))
        return result

    def start(self, pool: str) -> StoragePool:
        """Start a storage pool. An active pool stays active."""
        result: StoragePool = self._host.invoke("pool_start", pool=pool)
        return result

    def stop(self, pool: str) -> StoragePool:
        """Stop a storage pool. Its volumes are kept."""
        result: StoragePool = self._host.invoke("pool_stop", pool=pool)
        return result

    def refresh(self, pool: str) -> StoragePool:
        """Rescan the volumes of a storage pool; other hosts and tools may have changed them."""
        result: StoragePool = self._host.invoke("pool_refresh", pool=pool)
        return result

    def delete(self, pool: str) -> Deleted:
        """Remove the definition of a storage pool. Its content is kept."""
        result: Deleted = self._host.invoke("pool_delete", pool=pool)
        return result

    def volumes(self, pool: str = "default") -> _Volumes:
        """Return a pool's volumes, sorted by name."""
        result: _Volumes = self._host.invoke("volume_list", pool=pool)
        return result

    def volume(self, volume: str, pool: str = "default") -> Volume:
        """Return one volume."""
        result: Volume = self._host.invoke("volume_get", pool=pool, volume=volume)
        return result

    def create_volume(self, pool: str = "default", **fields: Unpack[VolumeFields]) -> Volume:
        """Create a volume from `VolumeSpec`'s fields."""
        from novacron.specs import VolumeSpec

        result: Volume = self._host.invoke("volume_create", pool=pool, spec=VolumeSpec.parse(fields))
        return result

    def resize_volume(self, volume: str, size: int | str, pool: str = "default", *, shrink: bool = False) -> Volume:
        """Set the capacity of a volume. A smaller capacity needs `shrink`; the data beyond it is lost."""
        result: Volume = self._host.invoke("volume_resize", pool=pool, volume=volume, size=parse_size(size), shrink=shrink)
        return result

    @overload
    def clone_volume(self, volume: str, name: str, pool: str = "default", *, wait: Literal[True] = ...) -> Volume: ...
    @overload
    def clone_volume(self, volume: str, name: str, pool: str = "default", *, wait: Literal[False]) -> Job[Volume]: ...
    def clone_volume(self, volume: str, name: str, pool: str = "default", *, wait: bool = True) -> Volume | Job[Volume]:
        """Copy a volume."""
        return finish(self._host, "volume_clone", _same, wait=wait, pool=pool, volume=volume, name=name)

    @overload
    def convert_volume(
        self, volume: str, name: str, format: str, pool: str = "default", *, wait: Literal[True] = ...
    ) -> Volume: ...
    @overload
    def convert_volume(
        self, volume: str, name: str, format: str, pool: str = "default", *, wait: Literal[False]
    ) -> Job[Volume]: ...
    def convert_volume(
        self, volume: str, name: str, format: str, pool: str = "default", *, wait: bool = True
    ) -> Volume | Job[Volume]:
        """Copy a volume into another format."""
        return finish(self._host, "volume_convert", _same, wait=wait, pool=pool, volume=volume, name=name, format=format)

    @overload
    def wipe_volume(self, volume: str, pool: str = "default", *, wait: Literal[True] = ...) -> Volume: ...
    @overload
    def wipe_volume(self, volume: str, pool: str = "default", *, wait: Literal[False]) -> Job[Volume]: ...
    def wipe_volume(self, volume: str, pool: str = "default", *, wait: bool = True) -> Volume | Job[Volume]:
        """Overwrite a volume's content."""
        return finish(self._host, "volume_wipe", _same, wait=wait, pool=pool, volume=volume)

    def volume_locked(self, volume: str, pool: str = "default") -> bool:
        """Return whether a running VM has a volume open for writing, on this host or on another one that shares the pool.

        Raises:
            VolumeNotFoundError: the pool has no such volume.
            UnsupportedOperationError: the driver, or a volume of this type, has no locks.

        Example:
            >>> import novacron
            >>> host = novacron.connect("sim://locked-volume")
            >>> vm = host.vms.create(name="web", disks=[{"size": "1GiB"}], start=True)
            >>> host.pools.volume_locked("web-vda.qcow2")
            True
        """
        return bool(self._host.invoke("volume_locked", pool=pool, volume=volume))

    def upload(self, file: str | Path, volume: str, pool: str = "default") -> Volume:
        """Upload a file of this machine to a volume, which is created if it does not exist. Holes of sparse files stay holes.

        Raises:
            ImageError: the file is an overlay: an image that names a backing file or other files.
        """
        from novacron.specs import VolumeSpec

        path, made = Path(file), False
        with path.open("rb") as source:
            try:
                self.volume(volume, pool)
            except VolumeNotFoundError:
                spec = VolumeSpec(name=volume, capacity=max(512, path.stat().st_size), format="raw")
                self._host.invoke("volume_create", pool=pool, spec=spec)
                made = True
            try:
                sent: Volume = self._host.invoke("volume_upload", pool=pool, volume=volume, source=source)
                return sent
            except BaseException:  # Ctrl-C, too
                if made:
                    self._host.invoke("volume_delete", pool=pool, volume=volume)
                raise

    def download(self, volume: str, file: str | Path, pool: str = "default") -> Volume:
        """Download a volume to a new file on this machine. Holes of sparse files stay holes."""
        with new_file(file) as target:
            result: Volume = self._host.invoke("volume_download", pool=pool, volume=volume, target=target)
        return result

    def delete_volume(self, volume: str, pool: str = "default") -> Deleted:
        """Delete a volume."""
        result: Deleted = self._host.invoke("volume_delete", pool=pool, volume=volume)
        return result


def _same(record: Volume) -> Volume:
    return record


__all__ = ["PoolCollection"]
