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
