"""Appliances."""

from __future__ import annotations

from novacron.records.record import Record


class Appliance(Record, frozen=True):
    """A written appliance: the VM's name, the disks' sizes in bytes, the file's size in bytes."""

    name: str
    host: str
    disks: tuple[int, ...] = ()
    size_bytes: int = 0


__all__ = ["Appliance"]
