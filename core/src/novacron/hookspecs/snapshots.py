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
    """Take a snapshot of a VM; it becomes the current one.

    On failure nothing of the snapshot stays.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        AlreadyExistsError: the VM has a snapshot of that name.
        InvalidSpecError: the spec contradicts itself.
        SnapshotError: the disks can't hold such a snapshot, or the storage has no room.
        UnsupportedOperationError: the hypervisor can't take that kind of snapshot of this VM.
        BusyError: the VM is being migrated.
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="read")
def snapshot_list(vm: str) -> list[Snapshot]:
    """List a VM's snapshots, parents before children, then by time.

    Raises:
        VMNotFoundError: the host has no such VM.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="read")
def snapshot_get(vm: str, snapshot: str) -> Snapshot:
    """Return one snapshot.

    Raises:
        VMNotFoundError: the host has no such VM.
        SnapshotNotFoundError: the VM has no snapshot of that name.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def snapshot_revert(vm: str, snapshot: str, job: Job[VM]) -> VM:
    """Bring the VM back to a snapshot: its disks, and its status at that time.

    The VM runs afterwards if the snapshot has memory, otherwise it is stopped.

    Raises:
        VMNotFoundError: the host has no such VM.
        SnapshotNotFoundError: the VM has no snapshot of that name.
        InvalidStateError: the VM can't be reverted as it is, for instance because it has checkpoints.
        SnapshotError: a file of the snapshot is missing.
        BusyError: the VM is being migrated.
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm")
def snapshot_delete(vm: str, snapshot: str, children: bool, job: Job[VM]) -> VM:
    """Delete a snapshot and keep the VM's content.

    Files are merged as needed. Children get the snapshot's parent, or are deleted too when `children` is true.

    Raises:
        VMNotFoundError: the host has no such VM.
        SnapshotNotFoundError: the VM has no snapshot of that name.
        UnsupportedOperationError: a child is of a kind that can't be deleted together with it.
        StorageError: merging ended early; the VM still reads the same content, and the next call resumes the merge.
        BusyError: a disk is being copied, or the VM is being migrated.
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError
