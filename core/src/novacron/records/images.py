"""Operating system images in storage pools."""

from __future__ import annotations

from novacron.records.record import Record


class Image(Record, frozen=True):
    """An image that is completely in a storage pool, and its origin.

    Attributes:
        name: the name of its volume; `source="image:NAME"` creates disks from it.
        format: the volume's format, "qcow2" or "raw".
        capacity_bytes: the size of a disk created from it.
        url: where it was downloaded from.
        checksum: its SHA-256 or SHA-512; None if there was none to compare with.
        signed: whether the signature of the checksum was verified.
        user: the login user of a VM created from it; None if it is not known.
        pulled_at: when it was downloaded, in seconds since 1970.
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
