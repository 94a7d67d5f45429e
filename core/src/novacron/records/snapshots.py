"""Snapshots."""

from __future__ import annotations

from novacron.records.record import Record


class Snapshot(Record, frozen=True):
    """A snapshot of a VM.

    Attributes:
        name: Name of the snapshot.
        vm: Id of the VM.
        host: Name of the host.
        created_at: When it was made, as UTC in ISO 8601.
        status: Status of the VM when the snapshot was made.
        parent: Name of the snapshot before it; None for the first one.
        current: Whether the VM's present state is based on it.
        memory: Whether it contains the memory of the VM.
        kind: "internal" (in the disk's own file) or "external" (in new files).
        description: Text of the person who made it.
        disks: Targets of the disks that it contains.
        id: Id that all operations accept instead of the name; None unless the hypervisor allows several snapshots of one name.
        parent_id: Id of the parent; None without one.
        size_bytes: Size in bytes of the files that only this snapshot needs; None if the hypervisor does not report it.
    """

    name: str
    vm: str
    host: str
    created_at: str
    status: str
    parent: str | None = None
    current: bool = False
    memory: bool = False
    kind: str = "internal"
    description: str = ""
    disks: tuple[str, ...] = ()
    id: str | None = None
    parent_id: str | None = None
    size_bytes: int | None = None


class Checkpoint(Record, frozen=True):
    """A point in time since which the hypervisor records what is written to the disks of a VM, for incremental backups.

    Attributes:
        name: Name of the checkpoint.
        vm: Id of the VM.
        host: Name of the host.
        created_at: When it was made, as UTC in ISO 8601.
        parent: Name of the checkpoint before it; None for the first one.
        disks: Targets of the disks that it covers.
        broken: Whether the recording is lost, for example because the process of the VM was killed: the next backup must be a
            full one. None if the hypervisor can't say so now, as for a stopped VM.
    """

    name: str
    vm: str
    host: str
    created_at: str
    parent: str | None = None
    disks: tuple[str, ...] = ()
    broken: bool | None = None


__all__ = ["Checkpoint", "Snapshot"]
