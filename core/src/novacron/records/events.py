"""Events."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record


class Event(Record, frozen=True):
    """An event of a host.

    Kinds; a driver may support some of them: `vm.status`, `vm.defined`, `vm.deleted`, `vm.snapshot`, `vm.reboot`; `vm.device`
    (`reason` "attached", "detached", "changed"; `data["device"]`); `vm.job` (`reason` "completed", "iteration", or the state of a
    disk's job); `vm.io_error` (`reason` "enospc", ...; `data["path"]`), `vm.watchdog`, `vm.balloon` (`data["memory_bytes"]`),
    `vm.agent` ("connected", "disconnected"); `host.connection` ("lost", "connected").

    Attributes:
        kind: Kind of the event, such as "vm.status".
        host: Name of the host.
        at: When it happened, as UTC in ISO 8601.
        resource: Name of the VM or other resource; None if it is the host itself.
        id: Id of the resource; None if it is not known.
        status: Status of the VM after the event; None if the event does not say.
        reason: Details of the kind, such as "attached".
        data: Further values of the kind, such as `memory_bytes` in bytes.
    """

    kind: str
    host: str
    at: str
    resource: str | None = None
    id: str | None = None
    status: str | None = None
    reason: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)


__all__ = ["Event"]
