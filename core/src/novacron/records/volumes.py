"""Volumes of storage pools."""

from __future__ import annotations

from novacron.records.record import Record


class Volume(Record, frozen=True):
    """A volume in a storage pool.

    Attributes:
        name: Name of the volume.
        pool: Name of the storage pool.
        host: Name of the host.
        path: Path of the volume on the host.
        format: Format, such as "qcow2".
        capacity_bytes: Size that a guest sees, in bytes.
        allocated_bytes: Bytes that the volume takes in the pool; None if they were not read.
        backing: Backing file from which unchanged data is read; None without one.
        encrypted: Whether the volume is encrypted.
    """

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
