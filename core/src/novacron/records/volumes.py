"""Volumes of storage pools."""

from __future__ import annotations

from novacron.records.record import Record


class Volume(Record, frozen=True):
    """A volume in a storage pool."""

    name: str
    pool: str
    host: str
    path: str
    format: str
    capacity_bytes: int
    allocated_bytes: int | None = None
    backing: str | None = None
    encrypted: bool = False


__all__ = ["Volume"]
