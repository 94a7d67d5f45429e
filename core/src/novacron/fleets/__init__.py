"""The fleet: registered hosts, their VMs, and the capacity of their nodes. The names are loaded when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from novacron.fleets.asking import Answer
    from novacron.fleets.fleet import Fleet
    from novacron.fleets.hosts import FleetHosts

_HOME = {"Answer": "asking", "Fleet": "fleet", "FleetHosts": "hosts"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


__all__ = ["Answer", "Fleet", "FleetHosts"]
