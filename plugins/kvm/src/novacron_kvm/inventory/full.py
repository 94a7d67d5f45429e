"""All VMs with their devices: what libvirt knows of all in a few calls, then one call for each definition and each volume.

On a quick link these calls are made one after another, because threads that share a connection cost more CPU time than the calls
themselves. On a slow link most of the time is spent on the way, so several calls are under way at the same time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import libvirt

from novacron.errors import VMNotFoundError
from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.inventory.disk_sizes import DisksOfAll
from novacron_kvm.inventory.records import State, record_of
from novacron_kvm.inventory.statistics import sizes_of
from novacron_kvm.jobs.domain_jobs import HELPER

AT_ONCE = 4
"""Calls at the same time on a slow link. libvirtd answers five of one client at once and lets further ones wait."""
BATCH = 500
"""Definitions that are read before the first is parsed. Alternating takes a fifth more CPU time, because each call empties the caches."""
SLOW = 0.003
"""Seconds that a call takes on a slow link, at least. A call within one machine or one rack takes a tenth of that."""


def list_in_full(connection: KVMConnection, stats: Iterable[tuple[Any, dict[str, Any]]]) -> list[VM]:
    """Return all VMs with their devices.

    Args:
        stats: the domains with libvirt's statistics of their state, vCPUs and memory.
    """
    transient = _those(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT)
    autostart = _those(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
    saved = _those(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE | libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE)
    disks = DisksOfAll(connection)

    def definition(domain: Any) -> str | None:
        try:
            with translated(resource=domain.name()):
                return str(domain.XMLDesc(0))
        except VMNotFoundError:
            return None  # it was deleted after the list was made

    def record(domain: Any, values: dict[str, Any], text: str) -> VM:
        if "vcpu.current" not in values:
            values = values | sizes_of(domain)
        most = values.get("balloon.maximum", 0)
        identity = domain.UUID()
        state = State(
            values["state.state"],
            values["state.reason"],
            values.get("vcpu.current", 0),
            values.get("balloon.current", most),
            most,
            identity not in transient,
            identity in autostart,
            identity in saved,
        )
        return record_of(connection, domain, state, text, known=disks)

    own = [found for found in stats if not found[0].name().startswith(HELPER)]
    records: list[VM] = []
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="novacron-listing") as threads:
        at_once = map if _is_quick(connection) else threads.map
        for start in range(0, len(own), BATCH):
            batch = own[start : start + BATCH]
            texts = list(at_once(definition, (domain for domain, _ in batch)))
            there = [(*found, text) for found, text in zip(batch, texts, strict=True) if text is not None]
            records += at_once(lambda found: record(*found), there)
    return records


def _is_quick(connection: KVMConnection) -> bool:
    """Whether the shortest call is answered at once. The quickest of three counts: the others may have waited for this machine."""

    def seconds() -> float:
        began = time.perf_counter()
        connection.read.getLibVersion()
        return time.perf_counter() - began

    return min(seconds() for _ in range(3)) < SLOW


def _those(connection: KVMConnection, kind: int) -> set[bytes]:
    """Return the UUIDs of the domains of a kind."""
    return {domain.UUID() for domain in connection.read.listAllDomains(kind)}


__all__ = ["list_in_full"]
