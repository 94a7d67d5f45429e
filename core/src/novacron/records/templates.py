"""Templates."""

from __future__ import annotations

from novacron.records.record import Record


class Template(Record, frozen=True):
    """A disk image with a definition, from which VMs are deployed.

    Attributes:
        name: Name of the template.
        host: Name of the host.
        version: Version of the template, from 1.
        description: Text of the person who made it.
        created_at: When it was made, as UTC in ISO 8601; None if unknown.
        disks: Its disks: their targets, or their files with the driver vmware.
        tags: Tags of the template.
    """

    name: str
    host: str
    version: int = 1
    description: str = ""
    created_at: str | None = None
    disks: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()


__all__ = ["Template"]
