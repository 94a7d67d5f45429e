"""The snapshots of a VM, read while other connections take and delete some."""

from __future__ import annotations

import time
from typing import Any

import libvirt

from novacron_kvm.xml.parsing import parse

ATTEMPTS = 20
PAUSE = 0.05
"""Seconds between two attempts to read a list that changes under our hands."""
GONE = (libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT,)


def snapshots_of(domain: Any, flags: int = 0) -> list[tuple[Any, Any]]:
    """Return libvirt's snapshots of a VM, each with the root element of its definition, parents first.

    libvirt's own order (VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL) is not asked for: it fails while a snapshot is being taken, which is counted
    already and is not in the tree yet ("name in virGetDomainSnapshot must not be NULL").

    Args:
        flags: of the definitions, such as VIR_DOMAIN_SNAPSHOT_XML_SECURE.

    Raises:
        libvirtError: the VM is gone, or libvirt can't list snapshots.
    """
    found = {}
    for snapshot in _listed(domain):
        try:
            root = parse(snapshot.getXMLDesc(flags))
        except libvirt.libvirtError as error:
            if error.get_error_code() not in GONE:
                raise
            continue  # it was deleted after the list was made
        found[root.findtext("name")] = snapshot, root

    def depth(name: str | None) -> int:
        steps = 0
        while name in found and steps <= len(found):
            name, steps = found[name][1].findtext("parent/name"), steps + 1
        return steps

    return [found[name] for name in sorted(found, key=depth)]


def is_current(snapshot: Any) -> bool:
    """Whether a snapshot is the current one; one that was deleted meanwhile is not."""
    try:
        return bool(snapshot.isCurrent())
    except libvirt.libvirtError as error:
        if error.get_error_code() not in GONE:
            raise
        return False


def _listed(domain: Any) -> list[Any]:
    for attempt in range(ATTEMPTS):
        try:
            return list(domain.listAllSnapshots(0))
        except libvirt.libvirtError as error:
            if attempt == ATTEMPTS - 1 or "must not be NULL" not in str(error):
                raise
            time.sleep(PAUSE)
    raise AssertionError("the last attempt raises or returns")


__all__ = ["is_current", "snapshots_of"]
