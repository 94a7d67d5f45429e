"""Migration checks and reports."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record
from novacron.records.vm import VM


class MigrationCheck(Record, frozen=True):
    """The result of all pre-checks of a migration. The migration is possible if `failures` is empty."""

    vm: str
    source: str
    destination: str
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all pre-checks passed."""
        return not self.failures


class MigrationReport(Record, frozen=True):
    """The report of a migration. `vm` is the record on the destination. Bytes and seconds; None if the hypervisor did not report it."""

    vm: VM
    source: str
    destination: str
    live: bool
    total_seconds: float
    downtime_seconds: float | None = None
    transferred_bytes: int | None = None
    native: dict[str, Any] = msgspec.field(default_factory=dict)


__all__ = ["MigrationCheck", "MigrationReport"]
