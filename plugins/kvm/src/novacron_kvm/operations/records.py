"""One VM's full record: its state and its definition."""

from __future__ import annotations

from typing import Any

import libvirt

from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.statuses import TABLE
from novacron_kvm.xml.reading import fields


def vm_record(connection: KVMConnection, domain: Any) -> VM:
    """Return the full record of a domain."""
    with translated(resource=domain.name()):
        state, reason = domain.state()
        info = domain.info()
        text = domain.XMLDesc(0)
        autostart = bool(domain.autostart()) if domain.isPersistent() else False
        persistent = bool(domain.isPersistent())
        saved = not domain.isActive() and persistent and _saved(domain)
    status, words = ("saved", "saved") if saved else TABLE.get((state, reason), ("unknown", ""))
    return VM(
        id=domain.UUIDString(), name=domain.name(), host=connection.name, status=status, status_reason=words,  # type: ignore[arg-type]
        vcpus=info[3], memory_bytes=info[2] * 1024, persistent=persistent, autostart=autostart, **fields(text),
    )  # fmt: skip


def _saved(domain: Any) -> bool:
    try:
        return bool(domain.hasManagedSaveImage())
    except libvirt.libvirtError:
        return False  # the test driver has none


__all__ = ["vm_record"]
