"""DRS and HA of clusters: what moves and restarts VMs of their nodes by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from novacron_vmware.names import plain_name

CLUSTER = ("name", "host", "configurationEx")
"""The properties that are read of a cluster."""


def services_of(clusters: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str | None, str | None]]:
    """Return what balances the nodes of clusters and what restarts their VMs, by the nodes' ids; None where nothing does.

    Args:
        clusters: the properties of the clusters. A setting that the user may not read counts as switched off.
    """
    found: dict[str, tuple[str | None, str | None]] = {}
    for cluster in clusters:
        config, name = cluster.get("configurationEx"), plain_name(cluster["name"])
        drs, ha = getattr(config, "drsConfig", None), getattr(config, "dasConfig", None)
        balancer = f"DRS of the cluster {name}" if drs and drs.enabled else None
        restarter = f"HA of the cluster {name}" if ha and ha.enabled else None
        found |= {node._moId: (balancer, restarter) for node in cluster.get("host") or ()}
    return found


__all__ = ["CLUSTER", "services_of"]
