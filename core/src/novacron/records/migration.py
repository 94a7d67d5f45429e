"""Migration checks and reports."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record
from novacron.records.vm import VM


class MigrationCheck(Record, frozen=True):
    """The result of all pre-checks of a migration.

    Attributes:
        vm: Id of the VM.
        source: Name of the host that the VM is on.
        destination: Name of the host that it shall move to.
        failures: Why the migration is impossible; empty if it is possible.
        warnings: What to know before the migration; it does not prevent it.
    """

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
    """The report of a migration.

    Attributes:
        vm: Record of the VM on the destination.
        source: Name of the host that the VM left.
        destination: Name of the host that it moved to.
        live: Whether the VM ran during the migration.
        total_seconds: Duration of the migration in seconds.
        downtime_seconds: Time in seconds for which the guest stood still; None if the hypervisor did not report it.
        transferred_bytes: Bytes that were sent; None if the hypervisor did not report them.
        kept: Files of the VM that were copied and still are on the host that it left: something there or on another host may need them.
        hint: Why files were kept, and what deletes them later; None if none were.
        native: Further values in the hypervisor's own words.
    """

    vm: VM
    source: str
    destination: str
    live: bool
    total_seconds: float
    downtime_seconds: float | None = None
    transferred_bytes: int | None = None
    kept: tuple[str, ...] = ()
    hint: str | None = None
    native: dict[str, Any] = msgspec.field(default_factory=dict)


__all__ = ["MigrationCheck", "MigrationReport"]
