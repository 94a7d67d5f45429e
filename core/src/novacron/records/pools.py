"""Storage pools."""

from __future__ import annotations

from novacron.records.record import Record


class StoragePool(Record, frozen=True):
    """A storage pool; `source` is the origin of a remote or block pool: "HOST:PATH" or a name."""

    name: str
    host: str
    type: str
    active: bool
    autostart: bool = False
    id: str | None = None
    path: str | None = None
    capacity_bytes: int | None = None
    allocated_bytes: int | None = None
    available_bytes: int | None = None
    source: str | None = None


__all__ = ["StoragePool"]
