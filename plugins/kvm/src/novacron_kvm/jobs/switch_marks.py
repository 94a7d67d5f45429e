"""Which VMs libvirtd may have lost, in one call for all VMs of a host.

The note that a disk is being switched is in the VM's definition, and a listing does not read a thousand definitions. So libvirt also keeps
a secret without a value for each such VM, with a UUID that is derived from the VM's. It is only an index: the note in the definition
decides, and a secret that is left over costs one reading of a definition.
"""

from __future__ import annotations

import uuid
from typing import Any

import libvirt

from novacron_kvm.jobs.lost_vms import is_lost
from novacron_kvm.statuses import STOPPED_SOMEHOW
from novacron_kvm.xml.markup import element, text

SPACE = uuid.UUID("5f0c3a52-7f0e-4b0e-9c41-6d2a5f1b7e10")


def mark(domain: Any) -> None:
    """Mark a VM: one of its disks is being switched to another file."""
    owner = domain.UUIDString()
    definition = element(
        "secret",
        text("uuid", _mark_of(owner)),
        text("description", f"NovaCron switches a disk of the VM {owner} to another file; this has no value"),
        ephemeral="no",
        private="yes",
    )
    try:
        domain.connect().secretDefineXML(definition)
    except libvirt.libvirtError:
        pass  # not allowed, or there are no secrets on that host: should libvirtd lose the VM, it is listed as stopped


def unmark(domain: Any) -> None:
    """Remove the mark of a VM."""
    try:
        domain.connect().secretLookupByUUIDString(_mark_of(domain.UUIDString())).undefine()
    except libvirt.libvirtError:
        pass  # it has none


def lost_vms(connection: Any, statistics: list[tuple[Any, dict[str, Any]]]) -> set[bytes]:
    """Return the UUIDs of the VMs that libvirtd has lost.

    Args:
        connection: libvirt's.
        statistics: all domains with their states, as libvirt returns them.
    """
    stopped = [domain for domain, values in statistics if (values["state.state"], values["state.reason"]) == STOPPED_SOMEHOW]
    if not stopped:
        return set()
    try:
        marks = set(connection.listSecrets())
    except libvirt.libvirtError:
        return set()  # there are no secrets on that host
    return {domain.UUID() for domain in stopped if marks and _mark_of(domain.UUIDString()) in marks and _certainly_lost(domain)}


def _certainly_lost(domain: Any) -> bool:
    try:
        return is_lost(domain)
    except libvirt.libvirtError:
        return False  # it was deleted meanwhile


def _mark_of(vm: str) -> str:
    return str(uuid.uuid5(SPACE, vm))


__all__ = ["lost_vms", "mark", "unmark"]
