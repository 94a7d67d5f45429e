"""Migration checks and reports."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record
from novacron.records.vm import VM


class MigrationCheck(Record, frozen=True):
    """The result of all pre-checks of a migration: possible when `failures` is empty."""

    vm: str
    source: str
    destination: str
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing stands against the migration."""
        return not self.failures


class MigrationReport(Record, frozen=True):
    """How a migration went; `vm` is the record on the destination. Bytes and seconds; None where the hypervisor didn't say."""

    vm: VM
    source: str
    destination: str
    live: bool
    total_seconds: float
    downtime_seconds: float | None = None
    transferred_bytes: int | None = None
    native: dict[str, Any] = msgspec.field(default_factory=dict)


__all__ = ["MigrationCheck", "MigrationReport"]
