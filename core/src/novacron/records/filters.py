"""Traffic filters."""

from __future__ import annotations

from typing import Any

from novacron.records.record import Record


class TrafficFilter(Record, frozen=True):
    """A set of rules that NICs use. `rules` are as in `FilterRule`; other rules are {"native": ...}."""

    name: str
    host: str
    rules: tuple[dict[str, Any], ...] = ()
    default: str = "allow"
    anti_spoofing: bool = False
    id: str | None = None


__all__ = ["TrafficFilter"]
