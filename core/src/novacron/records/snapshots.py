"""Snapshots."""

from __future__ import annotations

from novacron.records.record import Record


class Snapshot(Record, frozen=True):
    """A point in a VM's life to revert to; `parent` makes the tree.

    `id` is set where a hypervisor allows several snapshots of one name; every operation takes it in place of the name. `parent_id` is then
    the parent's. `size_bytes` is what the files that the snapshot alone needs take up, where the hypervisor reports it.
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


__all__ = ["Snapshot"]
