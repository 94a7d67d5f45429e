"""Checkpoints: the dirty bitmaps of a VM's disks, from which backup programs make incremental backups."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import libvirt

from novacron.records.snapshots import Checkpoint
from novacron_kvm.xml.parsing import parse, text_of


def listed(domain: Any) -> list[Any]:
    """Return libvirt's checkpoints of a domain; none if this kind of hypervisor has no checkpoints."""
    try:
        return list(domain.listAllCheckpoints(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return []


def checkpoints_of(domain: Any, host: str) -> list[Checkpoint]:
    """Return the checkpoints of a VM, the oldest first."""
    found = listed(domain)
    active = bool(found) and bool(domain.isActive())
    records = [_record(one, domain.UUIDString(), host, active=active) for one in found]
    return sorted(records, key=lambda one: (one.created_at, one.name))


def _record(checkpoint: Any, vm: str, host: str, *, active: bool) -> Checkpoint:
    root = parse(checkpoint.getXMLDesc(libvirt.VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN))
    created = datetime.fromtimestamp(int(text_of(root, "creationTime", "0") or 0), UTC)
    return Checkpoint(
        name=checkpoint.getName(),
        vm=vm,
        host=host,
        created_at=created.isoformat(),
        parent=text_of(root, "parent/name"),
        disks=tuple(disk.get("name") for disk in _covered(root)),
        broken=_broken(checkpoint) if active else None,
    )


def _covered(root: Any) -> list[Any]:
    return [disk for disk in root.iterfind("disks/disk") if disk.get("checkpoint") == "bitmap"]


def _broken(checkpoint: Any) -> bool | None:
    """Return whether a bitmap of a running VM is lost; None if QEMU does not answer now.

    QEMU knows the size of what a bitmap records. libvirt leaves the size out if the bitmap, or one of a later checkpoint, is missing or
    inconsistent. QEMU marks all bitmaps of a disk as inconsistent if it was killed (libvirt 9.0, QEMU 7.2).
    """
    flags = libvirt.VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN | libvirt.VIR_DOMAIN_CHECKPOINT_XML_SIZE
    try:
        root = parse(checkpoint.getXMLDesc(flags))
    except libvirt.libvirtError:
        return None
    return any(disk.get("size") is None for disk in _covered(root))


__all__ = ["checkpoints_of", "listed"]
