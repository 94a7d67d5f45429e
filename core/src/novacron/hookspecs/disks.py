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
