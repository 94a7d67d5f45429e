"""Snapshots of a VM: a tree of points to revert to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.snapshots import Checkpoint, Snapshot
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs import SnapshotSpec


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def snapshot_create(vm: str, spec: SnapshotSpec, job: Job[Snapshot]) -> Snapshot:
    """Create a snapshot, which becomes the current one.

    Args:
        vm: UUID or name of the VM.
        spec: Name, description, and whether it includes memory or freezes the guest's file systems.
        job: Reports the progress.
    Returns:
        The record of the snapshot.
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

    When: running, suspended or stopped.
    On failure nothing of the snapshot remains.
    """
    raise NotImplementedError


@operation(kind="read")
def snapshot_check(vm: str, spec: SnapshotSpec, status: str) -> list[str]:
    """Run the checks that `snapshot_create` makes before it changes anything.

    Whether the VM has a snapshot of that name is not checked: the caller knows what happens before.

    Args:
        vm: UUID or name of the VM.
        spec: What would be given to `snapshot_create`.
        status: The status that the VM will have then, such as "running".
    Returns:
        Why the snapshot can't be taken, one sentence each; empty if it can.
    Raises:
        VMNotFoundError: the host has no such VM.
    """
    raise NotImplementedError


@operation(kind="read")
def snapshot_list(vm: str) -> list[Snapshot]:
    """List the snapshots of a VM: parents before children, then by time.

    Args:
        vm: UUID or name of the VM.
    Returns:
        One record per snapshot.
    Raises:
        VMNotFoundError: the host has no such VM.
    """
    raise NotImplementedError


@operation(kind="read")
def snapshot_get(vm: str, snapshot: str) -> Snapshot:
    """Return one snapshot.

    Args:
        vm: UUID or name of the VM.
        snapshot: Name of the snapshot.
    Returns:
        Its record.
    Raises:
        VMNotFoundError: the host has no such VM.
        SnapshotNotFoundError: the VM has no snapshot of that name.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm", statuses="running suspended stopped")
def snapshot_revert(vm: str, snapshot: str, job: Job[VM]) -> VM:
    """Revert a VM to a snapshot: its disks, and its memory if the snapshot has it.

    Args:
        vm: UUID or name of the VM.
        snapshot: Name of the snapshot.
        job: Reports the progress.
    Returns:
        The VM, running if the snapshot has the memory of a running VM, otherwise stopped.
    Raises:
        VMNotFoundError: the host has no such VM.
        SnapshotNotFoundError: the VM has no snapshot of that name.
        InvalidStateError: the VM can't be reverted as it is, for instance because it has checkpoints.
        SnapshotError: a file of the snapshot is missing.
        BusyError: the VM is being migrated.
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running, suspended or stopped.
    """
    raise NotImplementedError


@operation(kind="job", locks="vm")
def snapshot_delete(vm: str, snapshot: str, children: bool, job: Job[VM]) -> VM:
    """Delete a snapshot and merge its content where other snapshots or the VM need it.

    Args:
        vm: UUID or name of the VM.
        snapshot: Name of the snapshot.
        children: Also delete its child snapshots. If False, their new parent is the snapshot's parent.
        job: Reports the progress.
    Returns:
        The record of the VM.
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


@operation(kind="read")
def checkpoint_list(vm: str) -> list[Checkpoint]:
    """List the checkpoints of a VM, the oldest first. Incremental backups copy what was written since a checkpoint.

    Args:
        vm: UUID or name of the VM.
    Returns:
        One record per checkpoint.
    Raises:
        VMNotFoundError: the host has no such VM.
    """
    raise NotImplementedError
