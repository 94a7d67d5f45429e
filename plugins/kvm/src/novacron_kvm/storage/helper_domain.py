"""A helper domain: a QEMU process that never runs a guest, started to copy or merge the disk files of a VM that is stopped, or to try
whether a file is free."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import libvirt

from novacron.errors import StorageError
from novacron_kvm.connection import KVMConnection
from novacron_kvm.jobs.domain_jobs import HELPER
from novacron_kvm.storage.copies import own_disks
from novacron_kvm.storage.volume_files import find_path
from novacron_kvm.xml.parsing import parse, serialise, text_of
from novacron_kvm.xml.reading import disk as disk_record

NOWHERE = "/nonexistent/novacron"
"""A lockspace that no lock manager has."""


@contextmanager
def helper_domain(connection: KVMConnection, conn: Any, definition: Any, path: str) -> Iterator[Any]:
    """Give a domain with the file as its only disk, "vda". It never runs: its QEMU merges files, on remote hosts too.

    libvirtd ends it when `conn` is closed, so also when this process dies. A libvirtd that was restarted has forgotten that, so the domain
    is then ended on a new connection.
    """
    kind = definition.find("os/type")
    place: dict[str, str] = {k: kind.get(k) for k in ("arch", "machine") if kind.get(k)}
    format_ = text_of(parse(existing_volume(conn, path).XMLDesc(0)), "target/format/@type") or "raw"
    root = _domain(definition.get("type"), place)
    root.find("devices").append(_plain_disk(definition, path, format_))
    with _created(connection, conn, root) as domain:
        yield domain


@contextmanager
def taking(connection: KVMConnection, conn: Any, path: str) -> Iterator[None]:
    """Hold a file as a running VM would: with QEMU's lock, and with the lease of libvirt's lock manager.

    libvirt takes the leases of a domain when it runs, and the helper domain never runs. So the disk is attached: then libvirt takes the
    lease at once. The content of the file does not matter, so it counts as raw.

    Raises:
        libvirt.libvirtError: another one holds it, or it can't be opened.
    """
    from lxml import etree

    root = _domain("qemu", {})
    etree.SubElement(root.find("devices"), "controller", type="scsi", model="virtio-scsi")
    disk = _plain_disk(etree.Element("domain"), path, "raw", bus="scsi")
    with _created(connection, conn, root) as domain:
        domain.attachDeviceFlags(serialise(disk), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        yield


def lock_manager(connection: KVMConnection, conn: Any) -> str:
    """Return the lock manager that libvirtd asks for leases: "virtlockd", "sanlock" or "none".

    A helper domain is given a lease in a lockspace that does not exist. Without a lock manager libvirtd gives it unseen.

    Raises:
        libvirt.libvirtError: the lock manager does not answer.
    """
    from lxml import etree

    lease = etree.Element("lease")
    for tag, text in (("lockspace", "novacron"), ("key", HELPER + uuid.uuid4().hex[:12])):
        etree.SubElement(lease, tag).text = text
    etree.SubElement(lease, "target", path=NOWHERE)
    with _created(connection, conn, _domain("qemu", {})) as domain:
        try:
            domain.attachDeviceFlags(serialise(lease), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        except libvirt.libvirtError as error:
            if NOWHERE in str(error) and error.get_error_domain() == libvirt.VIR_FROM_RPC:
                return "virtlockd"  # the error is its own: it has no such lockspace
            if error.get_error_domain() == libvirt.VIR_FROM_LOCKING:
                return "sanlock"
            raise
        return "none"


def _domain(kind: str, place: dict[str, str]) -> Any:
    """Return the definition of a helper domain without disks. `place` has architecture and machine, if they matter."""
    from lxml import etree

    root = etree.Element("domain", type=kind)
    etree.SubElement(root, "name").text = HELPER + uuid.uuid4().hex[:12]
    etree.SubElement(root, "memory", unit="MiB").text = "16"
    etree.SubElement(etree.SubElement(root, "os"), "type", place).text = "hvm"
    devices = etree.SubElement(root, "devices")
    etree.SubElement(devices, "controller", type="usb", model="none")
    etree.SubElement(devices, "memballoon", model="none")
    return root


@contextmanager
def _created(connection: KVMConnection, conn: Any, root: Any) -> Iterator[Any]:
    """Give a helper domain, and end it."""
    domain = conn.createXML(serialise(root), libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY)
    end = partial(_end, domain.UUIDString())
    try:
        yield domain
    finally:
        connection.ensure_undone(end, f"the domain {domain.name()!r}, which runs no guest")


def _end(identity: str, conn: Any) -> None:
    conn.lookupByUUIDString(identity).destroy()


def existing_volume(conn: Any, path: str) -> Any:
    """Return libvirt's volume at a path. Raises StorageError when no storage pool has it."""
    volume = find_path(conn, path)
    if volume is None:
        raise StorageError(f"no storage pool has the file {path}", resource=path, hint="has somebody deleted it just now?")
    return volume


def _plain_disk(definition: Any, path: str, format_: str, bus: str = "virtio") -> Any:
    """Return a <disk> with nothing but the file and its encryption, as "vda" or another one by its bus."""
    from lxml import etree

    disks = own_disks(definition)
    original = next((e for e in disks if disk_record(e).source == path), disks[0] if disks else etree.Element("disk"))
    disk = etree.Element("disk", type="file", device="disk")
    etree.SubElement(disk, "driver", name="qemu", type=format_)
    source = etree.SubElement(disk, "source", file=path)
    source.extend(original.findall("source/encryption"))
    etree.SubElement(disk, "target", dev="vda" if bus == "virtio" else "sda", bus=bus)
    return disk


__all__ = ["existing_volume", "helper_domain", "lock_manager", "taking"]
