"""Statistics of many VMs in one call, which a VM that does not answer can't hold up.

libvirt asks the QEMU of each VM, and waits for its answer without end. It is told not to wait for a VM that something else holds already.
The first look at one that hangs waits all the same, and is given up; it still holds that VM, so later calls skip the VM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libvirt

from novacron.errors import OperationTimeoutError
from novacron_kvm.connection import KVMConnection

PATIENCE = 8.0
"""Seconds that a look at all VMs may take; a thousand take a tenth of one."""
NOWAIT = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT


def statistics_of_all(connection: KVMConnection, groups: int, flags: int = 0) -> list[tuple[Any, dict[str, Any]]]:
    """Return libvirt's domains with their statistics; of one that does not answer what libvirt knows without asking it.

    Raises:
        libvirtError, OperationTimeoutError
    """
    found: list[tuple[Any, dict[str, Any]]] = _patiently(
        connection, lambda: connection.read.getAllDomainStats(groups, flags | NOWAIT)
    )
    return found


def statistics_of(connection: KVMConnection, vm: str) -> tuple[Any, dict[str, Any]]:
    """Return one VM's libvirt domain with its statistics, in the same way. Raises libvirtError, OperationTimeoutError."""
    ((domain, values),) = _patiently(connection, lambda: connection.read.domainListGetStats([connection.domain(vm)], 0, NOWAIT))
    return domain, values


def sizes_of(domain: Any) -> dict[str, int]:
    """Return the vCPUs and the memory of a domain under the names of libvirt's statistics; nothing if it is gone."""
    try:
        info = domain.info()
    except libvirt.libvirtError:
        return {}  # it went away
    return {"vcpu.current": info[3], "balloon.current": info[2], "balloon.maximum": info[1]}


def answered(connection: KVMConnection, domain: Any, values: dict[str, Any]) -> bool:
    """Whether a VM's own process was asked, or there is none. Raises libvirtError."""
    return not connection.uri.startswith("qemu") or "balloon.rss" in values or not domain.isActive()


def _patiently(connection: KVMConnection, look: Callable[[], Any]) -> Any:
    try:
        return connection.bounded(look, timeout=PATIENCE)
    except OperationTimeoutError:
        return connection.bounded(look, timeout=PATIENCE)


__all__ = ["answered", "sizes_of", "statistics_of", "statistics_of_all"]
