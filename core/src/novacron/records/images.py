"""Operating system images in storage pools."""

from __future__ import annotations

from novacron.records.record import Record


class Image(Record, frozen=True):
    """An image that is completely in a storage pool, and its origin.

    Attributes:
        name: Name of its volume; `source="image:NAME"` creates disks from it.
        host: Name of the host.
        pool: Name of the storage pool.
        path: Path of the volume on the host.
        format: Format of the volume, "qcow2" or "raw".
        capacity_bytes: Size in bytes of a disk that is created from it.
        allocated_bytes: Bytes that the volume takes in the pool; None if unknown.
        url: Where it was downloaded from; None if it was not.
        checksum: Its SHA-256 or SHA-512; None if there was none to compare with.
        signed: Whether the signature of the checksum was verified.
        title: Name for people, such as "Debian 13".
        user: Login user of a VM that is created from it; None if it is not known.
        arch: CPU architecture; None if it is not known.
        pulled_at: When it was downloaded, in seconds since 1970; None if it was not.
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
