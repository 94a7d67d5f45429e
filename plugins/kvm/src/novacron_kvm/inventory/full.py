"""All VMs with their devices: what libvirt knows of all in a few calls, then one call for each definition and each file.

Several calls are under way at the same time, because most of the time of a call is spent on its way.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import libvirt

from novacron.errors import VMNotFoundError
from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import State, Volumes, record_of
from novacron_kvm.inventory.statistics import sizes_of
from novacron_kvm.jobs.domain_jobs import HELPER

AT_ONCE = 4
"""Calls at the same time. libvirtd answers five of one client at once and lets further ones wait."""


def list_in_full(connection: KVMConnection, stats: Iterable[tuple[Any, dict[str, Any]]]) -> list[VM]:
    """Return all VMs with their devices.

    Args:
        stats: the domains with libvirt's statistics of their state, vCPUs and memory.
    """
    transient = _those(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT)
    autostart = _those(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
    saved = _those(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE | libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE)
    volumes = _volumes(connection)

    def read(found: tuple[Any, dict[str, Any]]) -> VM | None:
        domain, values = found
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
        try:
            with translated(resource=domain.name()):
                return record_of(connection, domain, state, domain.XMLDesc(0), volumes=volumes)
        except VMNotFoundError:
            return None  # it was deleted after the list was made

    own = [found for found in stats if not found[0].name().startswith(HELPER)]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="novacron-listing") as threads:
        return [record for record in threads.map(read, own) if record is not None]


def _those(connection: KVMConnection, kind: int) -> set[bytes]:
    """Return the UUIDs of the domains of a kind."""
    return {domain.UUID() for domain in connection.read.listAllDomains(kind)}


def _volumes(connection: KVMConnection) -> Volumes:
    """Return all volumes of active pools. The key of most volumes is their path, which saves a call for each."""
    found: dict[str | tuple[str, str], Any] = {}
    try:
        pools = connection.read.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
    except libvirt.libvirtError:
        return found  # this hypervisor has no storage pools
    for pool in pools:
        try:
            for volume in pool.listAllVolumes(0):
                key = volume.key()
                found[key if key.startswith("/") else volume.path()] = found[pool.name(), volume.name()] = volume
        except libvirt.libvirtError:
            continue  # the pool was stopped meanwhile
    return found


__all__ = ["list_in_full"]
