"""Disks of a VM: attach, detach, resize, limit, and merge backing chains. Sizes are bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.disks import Disk
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs import DiskLimits, DiskSpec


@operation(kind="change", locks="vm", statuses="running suspended stopped")
def disk_attach(vm: str, spec: DiskSpec) -> Disk:
    """Attach a disk to a VM. A running VM gets it at once; the definition is changed too.

    Args:
        vm: UUID or name of the VM.
        spec: The new disk: an existing volume, an image to copy, or a size in bytes.
    Returns:
        The new disk.
    Raises:
        VMNotFoundError: the host has no such VM.
        AlreadyExistsError: the VM has a disk of that target.
        DiskLockedError: another VM has the file, or the image is a disk that a VM can write to.
        InvalidStateError: a volume or a template needs the content of the file.
        InvalidSpecError: the host does not support a field of the spec.
        ImageNotFoundError: the source file does not exist.
        StoragePoolNotFoundError: the storage pool does not exist.
        ResourceAllocationError: the storage pool has too little space.

    When: running, suspended or stopped.
    On failure the VM is unchanged and a new volume is deleted.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running stopped")
def disk_detach(vm: str, disk: str, delete: bool) -> VM:
    """Detach a disk from a VM.

    Args:
        vm: UUID or name of the VM.
        disk: Target of the disk, such as "vda".
        delete: Also delete the disk's volume.
    Returns:
        The VM without the disk.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the VM has no such disk.
        InvalidStateError: a snapshot or another VM needs the disk.
        OperationTimeoutError: the guest did not release the disk.

    When: running or stopped.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running suspended stopped")
def disk_resize(vm: str, disk: str, size: int) -> Disk:
    """Grow a disk. A running guest sees the new size.

    Args:
        vm: UUID or name of the VM.
        disk: Target of the disk, such as "vda".
        size: New size in bytes.
    Returns:
        The disk with its new size.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the VM has no such disk.
        InvalidSpecError: `size` is below the current size.
        InvalidStateError: the disk is an empty drive.
        ResourceAllocationError: the storage pool has too little space.

    When: running, suspended or stopped.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm")
def disk_limit(vm: str, disk: str, limits: DiskLimits) -> Disk:
    """Set the I/O limits of a disk. A running VM uses them at once.

    Args:
        vm: UUID or name of the VM.
        disk: Target of the disk, such as "vda".
        limits: IOPS and bytes per second. None removes a limit; limits that were not set stay unchanged.
    Returns:
        The disk with its limits.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the VM has no such disk.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended stopped")
def disk_change_media(vm: str, disk: str, source: str) -> Disk:
    """Insert another medium into a CD-ROM drive, or eject it.

    Args:
        vm: UUID or name of the VM.
        disk: Target of the drive, such as "sda".
        source: Path or volume of the medium; an empty text ejects the current one.
    Returns:
        The drive with its medium.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the VM has no such drive.
        InvalidSpecError: the disk is not a removable medium.
        ImageNotFoundError: the medium does not exist.

    When: running, suspended or stopped.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def disk_pull(vm: str, disk: str, job: Job[Disk]) -> Disk:
    """Pull the backing chain into a disk's own file (block pull). A linked clone becomes independent of its original.

    Args:
        vm: UUID or name of the VM.
        disk: Target of the disk, such as "vda".
        job: Reports the bytes copied.
    Returns:
        The disk, which has no backing file. A disk without a backing file is returned unchanged.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the VM has no such disk, or the disk has no file.
        InvalidStateError: the VM has snapshots.

    When: running, suspended or stopped.
    On failure or cancellation the disk keeps its backing file.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def disk_commit(vm: str, disk: str, job: Job[Disk]) -> Disk:
    """Commit a disk's own file into its backing file (block commit), which becomes the disk's file.

    The old file is deleted if NovaCron created it for this VM.

    Args:
        vm: UUID or name of the VM.
        disk: Target of the disk, such as "vda".
        job: Reports the bytes copied.
    Returns:
        The disk with its new file.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the VM has no such disk, or the disk has no file.
        InvalidStateError: the disk has no backing file, another VM or volume needs the backing file, or the VM has snapshots.

    When: running, suspended or stopped.
    On failure or cancellation the backing chain is unchanged.
    """
    raise NotImplementedError
