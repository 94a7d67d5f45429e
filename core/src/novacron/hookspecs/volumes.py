"""Volumes of a storage pool: create, resize, copy, wipe, upload, download, delete. Sizes are bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.vm import Deleted
from novacron.records.volumes import Volume

if TYPE_CHECKING:
    from novacron.specs import VolumeSpec


@operation(kind="read")
def volume_list(pool: str) -> list[Volume]:
    """List the volumes of a storage pool, sorted by name.

    Args:
        pool: Name of the storage pool.
    Returns:
        One record per volume.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
    """
    raise NotImplementedError


@operation(kind="read")
def volume_get(pool: str, volume: str) -> Volume:
    """Return one volume.

    Args:
        pool: Name of the storage pool.
        volume: Name of the volume.
    Returns:
        Its record.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
        VolumeNotFoundError: the pool has no such volume.
    """
    raise NotImplementedError


@operation(kind="job")
def volume_create(pool: str, spec: VolumeSpec, job: Job[Volume]) -> Volume:
    """Create a volume.

    Args:
        pool: Name of the storage pool.
        spec: Name, size in bytes, format and backing file.
        job: Reports the progress.
    Returns:
        The record of the new volume.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
        AlreadyExistsError: the pool has a volume of that name.
        VolumeNotFoundError: the backing file does not exist, or is in no storage pool.
        DiskLockedError: the backing file is a disk that a VM can write to.
        ResourceAllocationError: the pool has too little space.

    On failure nothing of the volume remains.
    """
    raise NotImplementedError


@operation(kind="change")
def volume_resize(pool: str, volume: str, size: int, shrink: bool) -> Volume:
    """Set the capacity of a volume.

    Args:
        pool: Name of the storage pool.
        volume: Name of the volume.
        size: New capacity in bytes.
        shrink: Allow a size below the current one. The data beyond it is lost.
    Returns:
        The changed record.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
        VolumeNotFoundError: the pool has no such volume.
        InvalidSpecError: `size` is below the current capacity and `shrink` is False.
        InvalidStateError: a VM uses the volume.
        ResourceAllocationError: the pool has too little space.
    """
    raise NotImplementedError


@operation(kind="job")
def volume_convert(pool: str, volume: str, name: str, format: str, job: Job[Volume]) -> Volume:
    """Copy a volume into another format.

    Args:
        pool: Name of the storage pool.
        volume: Name of the volume.
        name: Name of the copy.
        format: Format of the copy, such as "raw" or "qcow2".
        job: Reports the bytes copied.
    Returns:
        The record of the copy.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
        VolumeNotFoundError: the pool has no such volume.
        AlreadyExistsError: the pool has a volume of the new name.
        ResourceAllocationError: the pool has too little space.

    On failure nothing of the copy remains.
    """
    raise NotImplementedError


@operation(kind="job")
def volume_clone(pool: str, volume: str, name: str, job: Job[Volume]) -> Volume:
    """Copy a volume.

    Args:
        pool: Name of the storage pool.
        volume: Name of the volume.
        name: Name of the copy.
        job: Reports the bytes copied.
    Returns:
        The record of the copy.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
        VolumeNotFoundError: the pool has no such volume.
        AlreadyExistsError: the pool has a volume of the new name.
        ResourceAllocationError: the pool has too little space.

    On failure nothing of the copy remains.
    """
    raise NotImplementedError


@operation(kind="job")
def volume_wipe(pool: str, volume: str, job: Job[Volume]) -> Volume:
    """Overwrite the content of a volume.

    Args:
        pool: Name of the storage pool.
        volume: Name of the volume.
        job: Reports the bytes written.
    Returns:
        The record of the volume.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
        VolumeNotFoundError: the pool has no such volume.
        InvalidStateError: a VM uses the volume.
    """
    raise NotImplementedError


@operation(kind="read", timeout=60)
def volume_locked(pool: str, volume: str) -> bool:
    """Return whether a running VM has a volume open for writing, on this host or on another one that shares the storage pool.

    The answer comes from the lock that the hypervisor holds on the file, and from the lease of its lock manager if it has one, so it does
    not depend on what hosts report. It is true for paused VMs as well, unless the lease is all that tells: paused VMs have none.

    Args:
        pool: Name of the storage pool.
        volume: Name of the volume.
    Returns:
        True if it is in use.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
        VolumeNotFoundError: the pool has no such volume.
        UnsupportedOperationError: volumes of this type have no locks.
    """
    raise NotImplementedError


@operation(kind="change")
def volume_delete(pool: str, volume: str) -> Deleted:
    """Delete a volume.

    Args:
        pool: Name of the storage pool.
        volume: Name of the volume.
    Returns:
        What was deleted.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
        VolumeNotFoundError: the pool has no such volume.
        InvalidStateError: a VM uses the volume.
    """
    raise NotImplementedError


@operation(kind="job")
def volume_upload(pool: str, volume: str, source: BinaryIO, job: Job[Volume]) -> Volume:
    """Write the content of a volume from a binary file. Holes of sparse files stay holes.

    The content must be complete. An overlay, which is an image that names a backing file or other files, is refused: it would show the
    guest a file of the host that has the same path.

    Args:
        pool: Name of the storage pool.
        volume: Name of the volume.
        source: Binary file that is read to its end.
        job: Reports the bytes written.
    Returns:
        The record of the volume.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
        VolumeNotFoundError: the pool has no such volume.
        InvalidStateError: a VM uses the volume.
        InvalidSpecError: the content is larger than the volume.
        ImageError: the content is an overlay; `qemu-img convert` makes a complete image of it.
    """
    raise NotImplementedError


@operation(kind="job")
def volume_download(pool: str, volume: str, target: BinaryIO, job: Job[Volume]) -> Volume:
    """Write the content of a volume to a binary file. Holes of sparse files stay holes.

    Args:
        pool: Name of the storage pool.
        volume: Name of the volume.
        target: Binary file that is written.
        job: Reports the bytes read.
    Returns:
        The record of the volume.
    Raises:
        StoragePoolNotFoundError: the host has no such pool.
        VolumeNotFoundError: the pool has no such volume.
    """
    raise NotImplementedError
