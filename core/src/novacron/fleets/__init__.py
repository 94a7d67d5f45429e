"""The fleet: registered hosts, their VMs, and the capacity of their nodes. The names are loaded when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.lazy_names import lazy_names

if TYPE_CHECKING:
    from novacron.fleets.asking import Answer
    from novacron.fleets.fleet import Fleet
    from novacron.fleets.hosts import FleetHosts

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "asking": "Answer",
        "fleet": "Fleet",
        "hosts": "FleetHosts",
    },
)

__all__ = ["Answer", "Fleet", "FleetHosts"]
