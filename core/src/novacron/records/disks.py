"""Disks of a VM."""

from __future__ import annotations

from typing import Literal

from novacron.records.record import Record


class Disk(Record, frozen=True):
    """A disk of a VM.

    Attributes:
        target: Name of the disk within the VM, such as "vda".
        source: File, block device or volume behind the disk; None for an empty drive.
        device: Kind of drive: "disk", "cdrom", "floppy" or "lun".
        bus: Bus that the disk is attached to, such as "virtio"; None if unknown.
        format: Format of the file, such as "qcow2"; None if unknown.
        pool: Storage pool of its volume; None if it is in none.
        volume: Name of its volume; None if it is in no pool.
        backing: Backing file from which unchanged data is read; None without one.
        size_bytes: Size that the guest sees, in bytes; None if it was not read.
        allocated_bytes: Bytes that the disk takes on the host; None if they were not read.
        read_only: Whether the guest can only read.
        shareable: Whether several VMs may write to it at the same time.
        boot_order: Place in the boot order, from 1; None without one.
        serial: Serial number that the guest reads; None without one.
        encrypted: Whether the disk is encrypted.
    """

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
