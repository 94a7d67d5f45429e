"""The locks of disks on shared storage. They are a second view that depends on no report: who still writes holds them.

A lock that is free proves nothing about a VM that is about to start. A lock that is held proves that a VM still runs somewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from novacron.errors import HostConnectionError, NovaCronError, OperationTimeoutError
from novacron.records.disks import Disk
from novacron.records.pools import StoragePool

WITNESSED = 4
"""How many disks a witness looks at; one that is held suffices."""


def lockable(disks: Iterable[Disk] | None, pools: Iterable[StoragePool]) -> Iterator[tuple[str, str]]:
    """Yield pool and volume of each disk that only one VM may write to. Not all drivers report them; then the path decides."""
    folders = {pool.path.rstrip("/"): pool.name for pool in pools if pool.path}
    for disk in disks or ():
        if disk.read_only or disk.shareable:
            continue
        folder, _, name = (disk.source or "").rpartition("/")
        if disk.pool and disk.volume:
            yield disk.pool, disk.volume
        elif folder in folders:
            yield folders[folder], name


def held(host: Any, volumes: Sequence[tuple[str, str]]) -> list[str]:
    """Return the names of the volumes that a running VM has open, as seen from a host.

    Volumes whose locks can't be read are left out: the start of a VM tries the lock in any case.

    Raises:
        HostConnectionError, OperationTimeoutError: the host does not answer.
    """
    if not host.supports("volume_locked"):
        return []
    found = []
    for pool, volume in volumes:
        try:
            if host.invoke("volume_locked", pool=pool, volume=volume):
                found.append(volume)
        except (HostConnectionError, OperationTimeoutError):
            raise
        except NovaCronError:
            continue
    return found


def witness(hosts: Iterable[Any], volumes: Sequence[tuple[str, str]]) -> str:
    """Return what another host sees on the shared storage: which disks of a silent node are in use. Empty if none is, or nobody can tell.

    Args:
        hosts: hosts that share the storage; the first one that answers is asked.
        volumes: pool and volume of disks of VMs on the node.
    """
    for host in hosts:
        try:
            used = held(host, volumes[:WITNESSED])
        except NovaCronError:
            continue
        return f"{host.name} sees that a running VM has {', '.join(used)} open" if used else ""
    return ""


__all__ = ["held", "lockable", "witness"]
