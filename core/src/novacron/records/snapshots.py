"""Snapshots."""

from __future__ import annotations

from novacron.records.record import Record


class Snapshot(Record, frozen=True):
    """A snapshot of a VM; `parent` makes the tree.

    `id` is set if the hypervisor allows several snapshots of one name. All operations accept it instead of the name. `parent_id` is the id
    of the parent. `size_bytes` is the size of the files that only this snapshot needs, if the hypervisor reports it.
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

    `broken` says whether that record is lost, for example because the process of the VM was killed: the next backup must be a full one.
    It is None if the hypervisor can't say so now, as for a stopped VM. `disks` are the targets of the disks that it covers.
    """

    name: str
    vm: str
    host: str
    created_at: str
    parent: str | None = None
    disks: tuple[str, ...] = ()
    broken: bool | None = None


__all__ = ["Checkpoint", "Snapshot"]
