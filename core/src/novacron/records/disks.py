"""Disks of a VM."""

from __future__ import annotations

from typing import Literal

from novacron.records.record import Record


class Disk(Record, frozen=True):
    """A disk of a VM; `target` ("vda") is its name within the VM."""

    target: str
    source: str | None = None
    device: Literal["disk", "cdrom", "floppy", "lun"] = "disk"
    bus: str | None = None
    format: str | None = None
    pool: str | None = None
    volume: str | None = None
    backing: str | None = None
    size_bytes: int | None = None
    allocated_bytes: int | None = None
    read_only: bool = False
    shareable: bool = False
    boot_order: int | None = None
    serial: str | None = None
    encrypted: bool = False


__all__ = ["Disk"]
