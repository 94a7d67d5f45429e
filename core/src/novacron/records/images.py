"""Operating system images in storage pools."""

from __future__ import annotations

from novacron.records.record import Record


class Image(Record, frozen=True):
    """An image that is completely in a storage pool, and where it came from.

    Attributes:
        name: the name of its volume; `source="image:NAME"` makes disks of it.
        format: the volume's format, "qcow2" or "raw".
        capacity_bytes: the size of a disk that is made of it.
        url: where it was fetched from.
        checksum: its SHA-256 or SHA-512, None when there was none to compare with.
        signed: whether the checksum's signature was checked.
        user: who may log in to a VM of it, None when that is not known.
        pulled_at: when it was fetched, seconds since 1970.
    """

    name: str
    host: str
    pool: str
    path: str
    format: str
    capacity_bytes: int
    allocated_bytes: int | None = None
    url: str | None = None
    checksum: str | None = None
    signed: bool = False
    title: str = ""
    user: str | None = None
    arch: str | None = None
    pulled_at: float | None = None


__all__ = ["Image"]
