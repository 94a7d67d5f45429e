"""Templates."""

from __future__ import annotations

from novacron.records.record import Record


class Template(Record, frozen=True):
    """A disk image with a definition, from which VMs are deployed."""

    name: str
    host: str
    version: int = 1
    description: str = ""
    created_at: str | None = None
    disks: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()


__all__ = ["Template"]
