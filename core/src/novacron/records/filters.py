"""Traffic filters."""

from __future__ import annotations

from typing import Any

from novacron.records.record import Record


class TrafficFilter(Record, frozen=True):
    """A traffic filter that NICs use.

    Attributes:
        name: Name of the filter.
        host: Name of the host.
        rules: The rules, with the fields of `FilterRule`; other rules are {"native": ...}.
        default: What happens to packets that no rule matches: "allow" or "deny".
        anti_spoofing: Whether packets leave the VM only with the NIC's own MAC and IP address.
        id: Id of the filter; None if the hypervisor has none.
    """

    name: str
    host: str
    rules: tuple[dict[str, Any], ...] = ()
    default: str = "allow"
    anti_spoofing: bool = False
    id: str | None = None


__all__ = ["TrafficFilter"]
