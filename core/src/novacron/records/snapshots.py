"""Snapshots."""

from __future__ import annotations

from novacron.records.record import Record


class Snapshot(Record, frozen=True):
    """A point in a VM's life to revert to; `parent` makes the tree."""

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


__all__ = ["Snapshot"]
