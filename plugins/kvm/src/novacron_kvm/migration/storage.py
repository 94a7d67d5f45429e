"""Moving a VM's disks to another storage pool, while it runs or while it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import libvirt
from lxml import etree

from novacron.errors import BusyError, DeviceNotFoundError, InvalidStateError, StorageError
from novacron.jobs import Job
from novacron.records.vm import VM
from novacron.records.volumes import Volume
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.metadata import change_facts, facts_of
from novacron_kvm.domains.states import refuse_saved, refuse_snapshots
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.jobs.block_jobs import end_copy, run_block_job
from novacron_kvm.jobs.lost_vms import tell_if_vm_ended
from novacron_kvm.storage.busy_pools import refresh_if_free
from novacron_kvm.storage.copies import own_disks, set_defined_disk_file, volume_of
from novacron_kvm.storage.held_files import destroying, reading
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.storage.image_content import format_of, refuse_other_format
from novacron_kvm.storage.luks import refuse_encrypted
from novacron_kvm.storage.other_hosts import may_be_needed_elsewhere
from novacron_kvm.storage.switches import switching
from novacron_kvm.storage.volume_files import (
    create_whole,
    find_path,
    needed_elsewhere,
    path_in,
    remove_created,
    remove_volume,
    volume_record,
)
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.reading import disk as disk_record
from novacron_kvm.xml.storage import volume_xml


def migrate_storage(connection: KVMConnection, vm: str, pool: str, disks: tuple[str, ...], job: Job[VM]) -> VM:
    """Move one disk after the other. A failure leaves each disk completely in one pool, and the disks moved before in the new one."""
    with tell_if_vm_ended(connection, vm), translated(resource=vm):
        with connection.dedicated() as conn:
            wanted = _movable(conn, connection.domain(vm, conn), disks)
            refresh_if_free(conn.storagePoolLookupByName(pool))
        for number, name in enumerate(wanted):

            def report(fraction: float, number: int = number, name: str = name) -> None:
                job.report(f"moving {name} to {pool}", (number + fraction) / len(wanted))

            report(0.0)
            _move(connection, vm, name, pool, job, report)
        return vm_record(connection, connection.domain(vm))


def _movable(conn: Any, domain: Any, disks: tuple[str, ...]) -> list[str]:
    """Return the targets of the disks to move: those asked for, or all that the VM owns. Refuse what can't be moved."""
    refuse_saved(domain, "move disks of")
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
    for name in wanted:
        volume_of(conn, elements[name])
    return wanted


def _move(connection: KVMConnection, vm: str, name: str, pool_name: str, job: Job[VM], report: Callable[[float], None]) -> None:
    with connection.dedicated() as conn, ExitStack() as undo:
        domain, pool = connection.domain(vm, conn), conn.storagePoolLookupByName(pool_name)
        element = next(e for e in own_disks(parse(domain.XMLDesc(0))) if text_of(e, "target/@dev") == name)
        volume = volume_of(conn, element)
        before = volume_record(connection.name, volume)
        refuse_other_format(before.name, before.format, format_of(element))
        if before.pool == pool_name:
            return
        text = volume_xml(before.name, before.capacity_bytes, before.format, None)
        if before.name in pool.listVolumes():
            raise StorageError(
                f"a volume {before.name!r} is already in the storage pool {pool_name!r}",
                resource=before.name,
                hint="delete or rename that one",
            )
        if domain.isActive():
            path = path_in(pool, before.name)
            give_up = partial(_give_up_copy, domain.UUIDString(), name, pool_name, path)
            made = create_whole(connection, pool, before.name, lambda: pool.createXML(text, 0))
            undo.callback(connection.ensure_undone, give_up, f"the volume {before.name!r} in {pool_name!r}")
            there = volume_record(connection.name, made)
            _copy_live(connection, domain, name, there, job, report)
        else:
            with reading(connection, conn, [before.path]):
                made = create_whole(connection, pool, before.name, lambda: pool.createXMLFrom(text, volume, 0))
                undo.callback(remove_created, connection, pool, before.name)
                there = volume_record(connection.name, made)
                job.raise_if_cancelled()
                back = partial(_keep_file, connection, domain.UUIDString(), name, before)
                undo.callback(connection.ensure_undone, back, f"the new file of the disk {name!r}")
                set_defined_disk_file(connection, conn, domain, name, there)
                _refuse_started(domain, name, before.path)  # after: whoever starts the VM from now on starts it with the copy
        undo.pop_all()
    connection.resumable(partial(_use_copy, connection, vm, name, before, there))


def _keep_file(connection: KVMConnection, vm: str, name: str, volume: Volume, conn: Any) -> None:
    set_defined_disk_file(connection, conn, connection.domain(vm, conn), name, volume)


def _refuse_started(domain: Any, target: str, path: str) -> None:
    """Refuse to move a disk that a VM writes to which another process has started meanwhile: the copy lacks what it writes."""
    if not domain.isActive():
        return
    disks = own_disks(parse(domain.XMLDesc(0)))
    if any(text_of(e, "target/@dev") == target and disk_record(e).source == path for e in disks):
        raise InvalidStateError(
            f"can't move the disk {target!r} of {domain.name()!r}: it was started meanwhile",
            resource=domain.name(),
            outcome="failed",
            hint="move the disk of the running VM",
        )


def _copy_live(
    connection: KVMConnection, domain: Any, name: str, there: Volume, job: Job[VM], report: Callable[[float], None]
) -> None:
    """Copy a running VM's disk, then switch QEMU to the copy. Until then the old disk has all data."""
    element = etree.Element("disk", type="file")
    etree.SubElement(element, "driver", name="qemu", type=there.format)
    etree.SubElement(element, "source", file=there.path)
    flags = libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
    start = partial(domain.blockCopy, name, etree.tostring(element, encoding="unicode"), {}, flags)
    with switching(connection, domain, name, there.path) as note:
        run_block_job(connection, domain, name, start, job, report, pivot=True, on_ready=note)


def _give_up_copy(vm: str, target: str, pool: str, path: str, conn: Any) -> None:
    """End the copying of a disk, and delete the copy unless the VM uses it already.

    Raises:
        StorageError: the VM ended. It may have been switched to the copy before, which then has its newest data.
    """
    unused = end_copy(vm, target, path, conn)
    if not conn.lookupByUUIDString(vm).isActive():
        raise StorageError(f"{path} is kept: it may have the newest data of a VM that ended", resource=vm)
    if unused:
        remove_volume(conn.storagePoolLookupByName(pool), path.rpartition("/")[2])


def _use_copy(connection: KVMConnection, vm: str, name: str, before: Volume, there: Volume, conn: Any) -> None:
    """Let the definition name the copy, and delete the original if it was made for this VM and nothing else needs it.

    An original that stays, because another VM needs it, a host of the fleet does not answer, or another process works with it, is deleted
    with the VM.
    """
    domain = connection.domain(vm, conn)
    set_defined_disk_file(connection, conn, domain, name, there)
    own = facts_of(domain)
    if before.path == there.path or not {before.path, there.path} & {*own.made}:
        return
    with ExitStack() as held:
        try:
            held.enter_context(destroying(connection, conn, [before.path]))
            files = HostFiles(conn)
            needed = needed_elsewhere(files, {before.path}) | may_be_needed_elsewhere(
                connection, conn, {before.path}, files=files
            )
        except BusyError:
            needed = {before.path}
        if before.path in own.made:
            left = own if before.path in needed else own.without_files([before.path])
            change_facts(connection, domain, own, left.with_files([there.path]))
        volume = find_path(conn, before.path)
        if volume is not None and before.path not in needed:
            volume.delete(0)


__all__ = ["migrate_storage"]
