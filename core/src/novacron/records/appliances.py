"""Appliances."""

from __future__ import annotations

from novacron.records.record import Record


class Appliance(Record, frozen=True):
    """An appliance that was exported.

    Attributes:
        name: Name of the VM.
        host: Name of the host that the VM is on.
        disks: Sizes of the disks in bytes.
        size_bytes: Size of the file in bytes.
    """

    name: str
    host: str
    disks: tuple[int, ...] = ()
    size_bytes: int = 0


__all__ = ["Appliance"]
