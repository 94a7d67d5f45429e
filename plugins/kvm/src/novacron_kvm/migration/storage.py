"""Moving a VM's disks to another storage pool, while it runs or while it is stopped."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import libvirt
from lxml import etree

from novacron.errors import DeviceNotFoundError, StorageError
from novacron.jobs import Job
from novacron.records.vm import VM
from novacron.records.volumes import Volume
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.metadata import facts_of, set_facts
from novacron_kvm.domains.states import refuse_saved, refuse_snapshots
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.jobs.block_jobs import end_copy, follow
from novacron_kvm.jobs.lost_vms import tell_if_vm_ended
from novacron_kvm.storage.copies import own_disks, set_defined_disk_file, volume_of
from novacron_kvm.storage.luks import refuse_encrypted
from novacron_kvm.storage.volume_files import needed_elsewhere, remove_created, volume_record
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.storage import volume_xml


def migrate_storage(connection: KVMConnection, vm: str, pool: str, disks: tuple[str, ...], job: Job[VM]) -> VM:
    """Move disk after disk: each is wholly here or wholly there, whatever happens to the next."""
    with connection.dedicated() as conn, tell_if_vm_ended(connection, vm), translated("vm_migrate_storage", vm):
        domain = connection.domain(vm, conn)
        refuse_saved(domain, "move disks of")
        target = conn.storagePoolLookupByName(pool)
        target.refresh()
        elements = {text_of(e, "target/@dev") or "": e for e in own_disks(parse(domain.XMLDesc(0)))}
        unknown = [name for name in disks if name not in elements]
        if unknown:
            raise DeviceNotFoundError(
                f"{domain.name()!r} has no disk {unknown[0]!r} that could be moved",
                resource=domain.name(),
                hint=f"it has: {', '.join(elements) or 'none'}",
            )
        refuse_snapshots(domain, "move disks of", "which are in them")
        wanted = list(disks or elements)
        refuse_encrypted(domain.name(), [elements[name] for name in wanted], "move disks of")
        for number, name in enumerate(wanted):
            volume = volume_of(conn, elements[name])
            before = volume_record(connection.name, volume)
            if before.pool == pool:
                continue

            def report(fraction: float, number: int = number, name: str = name) -> None:
                job.report(f"moving {name} to {pool}", (number + fraction) / len(wanted))

            report(0.0)
            _move(connection, conn, domain, name, volume, before, target, job, report)
        return vm_record(connection, domain)


def _move(
    connection: KVMConnection,
    conn: Any,
    domain: Any,
    name: str,
    volume: Any,
    before: Volume,
    pool: Any,
    job: Job[VM],
    report: Any,
) -> None:
    with ExitStack() as undo:
        text = volume_xml(before.name, before.capacity_bytes, before.format, None)
        if before.name in pool.listVolumes():
            raise StorageError(
                f"a volume {before.name!r} is already in the storage pool {pool.name()!r}",
                resource=before.name,
                hint="delete or rename that one",
            )
        made = before.path in facts_of(domain).made
        if domain.isActive():
            undo.callback(remove_created, connection, pool, before.name)
            there = volume_record(connection.name, pool.createXML(text, 0))
            stop = partial(end_copy, domain.UUIDString(), name, there.path)
            undo.callback(connection.ensure_undone, stop, f"the copying of {name} of {domain.name()!r}")
            _copy_live(domain, name, there, job, report)
        else:
            undo.callback(remove_created, connection, pool, before.name)
            there = volume_record(connection.name, pool.createXMLFrom(text, volume, 0))
            job.raise_if_cancelled()
        set_defined_disk_file(conn, domain, name, there)
        undo.pop_all()
    if made:
        set_facts(domain, facts_of(domain).without_files([before.path]).with_files([there.path]))
        if before.path not in needed_elsewhere(conn, {before.path}):
            volume.delete(0)


def _copy_live(domain: Any, name: str, there: Volume, job: Job[VM], report: Any) -> None:
    """Copy a running VM's disk, then switch QEMU to the copy. Until then the old disk has all data."""
    element = etree.Element("disk", type="file")
    etree.SubElement(element, "driver", name="qemu", type=there.format)
    etree.SubElement(element, "source", file=there.path)
    flags = libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
    domain.blockCopy(name, etree.tostring(element, encoding="unicode"), {}, flags)
    follow(domain, name, job, report, pivot=True)


__all__ = ["migrate_storage"]
