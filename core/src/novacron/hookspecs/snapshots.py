"""Snapshots of a VM: a tree of points to revert to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.snapshots import Snapshot
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs import SnapshotSpec


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def snapshot_create(vm: str, spec: SnapshotSpec, job: Job[Snapshot]) -> Snapshot:
    """Take a snapshot; it becomes the current one. Raises AlreadyExistsError; nothing half-made stays."""
    raise NotImplementedError


@operation(kind="read")
def snapshot_list(vm: str) -> list[Snapshot]:
    """List a VM's snapshots, parents before children, then by time."""
    raise NotImplementedError


@operation(kind="read")
def snapshot_get(vm: str, snapshot: str) -> Snapshot:
    """Return one snapshot. Raises SnapshotNotFoundError."""
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def snapshot_revert(vm: str, snapshot: str, job: Job[VM]) -> VM:
    """Bring the VM back to a snapshot: disks, and its status then (running when memory was kept, otherwise stopped)."""
    raise NotImplementedError


@operation(kind="job", locks="vm")
def snapshot_delete(vm: str, snapshot: str, children: bool, job: Job[VM]) -> VM:
    """Delete a snapshot, its content merged as needed, its children given to its parent, or deleted too when `children`."""
    raise NotImplementedError
