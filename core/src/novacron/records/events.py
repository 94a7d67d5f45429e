"""Events."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron.records.record import Record


class Event(Record, frozen=True):
    """Something that happened on a host.

    Kinds: `vm.status`, `vm.defined`, `vm.deleted`, `vm.device`, `vm.job`, `host.connection`, ...
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
