"""The areas of the contract."""

from __future__ import annotations

from novacron.hookspecs import (
    appliances,
    console,
    devices,
    diagnosis,
    disks,
    events,
    filters,
    guest,
    host,
    lifecycle,
    metrics,
    migration,
    networks,
    nics,
    pools,
    power,
    resources,
    snapshots,
    templates,
    volumes,
)

AREAS = (
    host,
    lifecycle,
    power,
    resources,
    disks,
    nics,
    devices,
    volumes,
    pools,
    networks,
    filters,
    snapshots,
    templates,
    migration,
    guest,
    console,
    metrics,
    events,
    appliances,
    diagnosis,
)
"""The areas of the contract, in the order of the documentation. Handles, records and drivers use the same file names."""

__all__ = ["AREAS"]
