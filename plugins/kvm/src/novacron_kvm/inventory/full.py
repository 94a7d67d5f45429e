"""All VMs with their devices: what libvirt knows of all in a few calls, then one call for each definition and each volume.

On a quick link these calls are made one after another, because threads cost more CPU time than the calls themselves. On a slow link most of
the time is spent on the way, so several threads make calls at the same time, each on a connection of its own.
"""

from __future__ import annotations

import threading
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
"""Threads on a slow link. Their connections stay open for the next listing (`pool.IDLE_KEPT`)."""
BATCH = 500
"""Definitions that are read before the first is parsed. Alternating takes a fifth more CPU time, because each call empties the caches."""
SLOW = 0.003
"""Seconds that a call takes on a slow link, at least. A call within one machine or one rack takes a tenth of that."""
WORTH = 2.0
"""Seconds that all calls together take, at least, if it is worth to open connections for several threads."""


def list_in_full(connection: KVMConnection, stats: Iterable[tuple[Any, dict[str, Any]]]) -> list[VM]:
    """Return all VMs with their devices.

    Args:
        stats: the domains with libvirt's statistics of their state, vCPUs and memory.
    """
    transient = _those(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT)
    autostart = _those(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
    saved = _those(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE | libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE)
    disks, domains = DisksOfAll(connection), _DomainsOfThread(connection)

    def definition(domain: Any) -> str | None:
        try:
            with translated(resource=domain.name()):
                return str(domains.own(domain).XMLDesc(0))
        except VMNotFoundError:
            return None  # it was deleted after the list was made

    def record(listed: Any, values: dict[str, Any], text: str) -> VM | None:
        try:
            with translated(resource=listed.name()):
                domain = domains.own(listed)
                if "vcpu.current" not in values:
                    values = values | sizes_of(domain)
        except VMNotFoundError:
            return None  # it was deleted meanwhile
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
        at_once = threads.map if _is_slow(connection, 2 * len(own)) else map
        for start in range(0, len(own), BATCH):
            batch = own[start : start + BATCH]
            texts = list(at_once(definition, (domain for domain, _ in batch)))
            there = [(*found, text) for found, text in zip(batch, texts, strict=True) if text is not None]
            records += filter(None, at_once(lambda found: record(*found), there))
    return records


class _DomainsOfThread(threading.local):
    """The domains on the connection of each thread, read in one call."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection
        self._read: Any = None
        self._domains: dict[bytes, Any] = {}

    def own(self, domain: Any) -> Any:
        """Return a domain of another thread's connection as one of this thread's. Raises libvirtError, NovaCronError."""
        read = self._connection.read
        if domain.connect() is read:
            return domain
        if self._read is not read:
            self._read, self._domains = read, {each.UUID(): each for each in read.listAllDomains()}
        return self._domains.get(domain.UUID()) or self._connection.domain(domain.UUIDString())


def _is_slow(connection: KVMConnection, calls: int) -> bool:
    """Whether many calls take long because of the way. The quickest of three counts: the others may have waited for this machine."""

    def seconds() -> float:
        began = time.perf_counter()
        connection.read.getLibVersion()
        return time.perf_counter() - began

    quickest = min(seconds() for _ in range(3))
    return connection.shared and quickest >= SLOW and calls * quickest >= WORTH


def _those(connection: KVMConnection, kind: int) -> set[bytes]:
    """Return the UUIDs of the domains of a kind."""
    return {domain.UUID() for domain in connection.read.listAllDomains(kind)}


__all__ = ["list_in_full"]
