"""Storage pools, volumes, and a VM's disks. Sizes are bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.storage import StoragePool, Volume
from novacron.records.vm import VM, Deleted, Disk

if TYPE_CHECKING:
    from novacron.specs import DiskLimits, DiskSpec, StoragePoolSpec, VolumeSpec


@operation(kind="read")
def pool_list() -> list[StoragePool]:
    """List the storage pools, sorted by name."""
    raise NotImplementedError


@operation(kind="read")
def pool_get(pool: str) -> StoragePool:
    """Return one storage pool. Raises StoragePoolNotFoundError."""
    raise NotImplementedError


@operation(kind="change")
def pool_create(spec: StoragePoolSpec) -> StoragePool:
    """Define, build and start a storage pool. Raises AlreadyExistsError (name, or the path is another pool's)."""
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def pool_start(pool: str) -> StoragePool:
    """Make a storage pool usable."""
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def pool_stop(pool: str) -> StoragePool:
    """Take a storage pool out of use; its volumes stay."""
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def pool_refresh(pool: str) -> StoragePool:
    """Look again at what volumes are there."""
    raise NotImplementedError


@operation(kind="change")
def pool_delete(pool: str) -> Deleted:
    """Forget a storage pool; its content stays where it is."""
    raise NotImplementedError


@operation(kind="read")
def volume_list(pool: str) -> list[Volume]:
    """List a pool's volumes, sorted by name."""
    raise NotImplementedError


@operation(kind="read")
def volume_get(pool: str, volume: str) -> Volume:
    """Return one volume. Raises VolumeNotFoundError."""
    raise NotImplementedError


@operation(kind="job")
def volume_create(pool: str, spec: VolumeSpec, job: Job[Volume]) -> Volume:
    """Create a volume. Raises AlreadyExistsError, ResourceAllocationError (no space); a failed one is removed."""
    raise NotImplementedError


@operation(kind="change")
def volume_resize(pool: str, volume: str, size: int, shrink: bool) -> Volume:
    """Set a volume's capacity; less than now only when `shrink`."""
    raise NotImplementedError


@operation(kind="job")
def volume_convert(pool: str, volume: str, name: str, format: str, job: Job[Volume]) -> Volume:
    """Copy a volume into another format under a new name."""
    raise NotImplementedError


@operation(kind="job")
def volume_clone(pool: str, volume: str, name: str, job: Job[Volume]) -> Volume:
    """Copy a volume under a new name."""
    raise NotImplementedError


@operation(kind="job")
def volume_wipe(pool: str, volume: str, job: Job[Volume]) -> Volume:
    """Overwrite a volume's content."""
    raise NotImplementedError


@operation(kind="change")
def volume_delete(pool: str, volume: str) -> Deleted:
    """Delete a volume. Raises InvalidStateError when a VM uses it."""
    raise NotImplementedError


@operation(kind="job")
def volume_upload(pool: str, volume: str, source: BinaryIO, job: Job[Volume]) -> Volume:
    """Write a volume's content from a binary file; holes stay holes."""
    raise NotImplementedError


@operation(kind="job")
def volume_download(pool: str, volume: str, target: BinaryIO, job: Job[Volume]) -> Volume:
    """Write a volume's content to a binary file; holes stay holes."""
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running suspended stopped")
def disk_attach(vm: str, spec: DiskSpec) -> Disk:
    """Give a VM a disk, at once when it runs, and persistently."""
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running stopped")
def disk_detach(vm: str, disk: str, delete: bool) -> VM:
    """Take a disk (by target) from a VM; `delete` deletes its volume too."""
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running suspended stopped")
def disk_resize(vm: str, disk: str, size: int) -> Disk:
    """Grow a disk; a running guest sees it."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def disk_limit(vm: str, disk: str, limits: DiskLimits) -> Disk:
    """Set a disk's I/O limits."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended stopped")
def disk_change_media(vm: str, disk: str, source: str) -> Disk:
    """Put another medium into a CD-ROM drive; an empty `source` ejects."""
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def disk_pull(vm: str, disk: str, job: Job[Disk]) -> Disk:
    """Copy into a disk's own file what it is backed by: a linked clone needs its original no more. One that is backed by nothing stays so.

    Cancelled or failed, it is backed as before. Raises InvalidStateError when the VM has snapshots.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def disk_commit(vm: str, disk: str, job: Job[Disk]) -> Disk:
    """Write what a disk's own file has into the one that it is backed by, and go on with that; its own, if made for the VM, is deleted.

    Cancelled or failed, it is as before. Raises InvalidStateError when it is backed by nothing, when another VM or volume needs the file
    below, and when the VM has snapshots.
    """
    raise NotImplementedError
