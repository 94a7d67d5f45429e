"""Making one file of a disk's own and the one that it is backed by: upwards, so that it needs nobody, or downwards, into the one below."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import libvirt

from novacron.errors import DeviceNotFoundError, InvalidStateError
from novacron.jobs import Job
from novacron.records.disks import Disk
from novacron.records.volumes import Volume
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.metadata import change_facts, facts_of
from novacron_kvm.domains.states import refuse_saved, refuse_snapshots, refuse_suspended_since_migration
from novacron_kvm.errors import translated
from novacron_kvm.inventory.disk_sizes import sized
from novacron_kvm.jobs.block_jobs import end_interrupted_jobs, run_block_job
from novacron_kvm.jobs.lost_vms import tell_if_vm_ended
from novacron_kvm.storage.copies import own_disks, set_defined_disk_file, volume_of
from novacron_kvm.storage.held_files import destroying
from novacron_kvm.storage.helper_domain import helper_domain
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.storage.other_hosts import look_elsewhere, refuse_if_silent
from novacron_kvm.storage.switches import switching
from novacron_kvm.storage.volume_files import find_path, refresh_pools, volume_record
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.reading import disk as disk_record


def pull_disk(connection: KVMConnection, vm: str, disk: str, job: Job[Disk]) -> Disk:
    """Copy the content of a disk's backing files into its own file. An interrupted copy changes nothing: the disk still uses them."""
    with tell_if_vm_ended(connection, vm), translated("disk_pull", vm):
        with connection.dedicated() as conn:
            domain, volume = _found(connection, conn, vm, disk, "pull", job)
            if volume.backing:
                with _reading(connection, conn, domain, disk, volume.path) as (there, target):
                    start = partial(there.blockPull, target, 0, 0)
                    report = partial(job.report, "pulling")
                    run_block_job(connection, there, target, start, job, report, without=volume.backing)
        return connection.resumable(partial(_after_pull, connection, vm, disk, volume.path))


def commit_disk(connection: KVMConnection, vm: str, disk: str, job: Job[Disk]) -> Disk:
    """Commit a disk's own file into its backing file, which becomes the disk's file. Until then the disk is unchanged."""
    with tell_if_vm_ended(connection, vm), translated("disk_commit", vm), ExitStack() as held:
        with connection.dedicated() as conn:
            domain, volume = _found(connection, conn, vm, disk, "commit", job)
            held.enter_context(destroying(connection, conn, [volume.path, volume.backing or ""]))
            base = _base(connection, conn, domain, disk, volume)
            with _reading(connection, conn, domain, disk, volume.path) as (there, target):
                commit_active(connection, there, target, base.path, job, partial(job.report, "committing"))
        return connection.resumable(partial(_after_commit, connection, vm, disk, base, volume.path))


def commit_active(
    connection: KVMConnection, domain: Any, target: str, path: str, job: Job[Any], report: Callable[[float], None]
) -> None:
    """Commit the file that a disk is written to into the file `path` of its backing chain, and switch the disk to that one."""
    start = partial(domain.blockCommit, target, path, None, 0, libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE)
    with switching(connection, domain, target, path) as note:
        run_block_job(connection, domain, target, start, job, report, pivot=True, on_ready=note)


@contextmanager
def _reading(connection: KVMConnection, conn: Any, domain: Any, disk: str, path: str) -> Iterator[tuple[Any, str]]:
    """Give a domain that has a disk's file open, and the disk's target there: the VM itself, or a helper domain if it is stopped."""
    if domain.isActive():
        yield domain, disk
        return
    definition = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
    with helper_domain(connection, conn, definition, path) as there:
        yield there, "vda"


def _after_pull(connection: KVMConnection, vm: str, disk: str, path: str, conn: Any) -> Disk:
    refresh_pools(conn, {path})
    return _record(connection, connection.domain(vm, conn), disk)


def _after_commit(connection: KVMConnection, vm: str, disk: str, base: Volume, overlay: str, conn: Any) -> Disk:
    """Let the definition name the base file too, and delete the overlay if it was made for the VM."""
    domain = connection.domain(vm, conn)
    set_defined_disk_file(connection, conn, domain, disk, base)
    own = facts_of(domain)
    if overlay in own.made:
        volume = find_path(conn, overlay)
        if volume is not None:
            volume.delete(0)
        change_facts(connection, domain, own, own.without_files([overlay]))
    return _record(connection, domain, disk)


def _found(connection: KVMConnection, conn: Any, vm: str, disk: str, verb: str, job: Job[Disk]) -> tuple[Any, Volume]:
    """Return a VM's domain and the volume of a disk; refuse what would take something from its snapshots."""
    domain = connection.domain(vm, conn)
    refuse_saved(domain, f"{verb} a disk of")
    refuse_suspended_since_migration(domain, f"{verb} a disk of")
    disks = {text_of(e, "target/@dev"): e for e in own_disks(parse(domain.XMLDesc(0)))}
    if disk not in disks:
        raise DeviceNotFoundError(
            f"{domain.name()!r} has no disk {disk!r} with a file of its own",
            resource=domain.name(),
            hint=f"it has: {', '.join(map(str, disks)) or 'none'}",
        )
    refuse_snapshots(domain, f"{verb} a disk of", "which are in its files")
    end_interrupted_jobs(domain, [disk], job)
    return domain, volume_record(connection.name, volume_of(conn, disks[disk]))


def _base(connection: KVMConnection, conn: Any, domain: Any, disk: str, volume: Volume) -> Volume:
    """Return the volume below; refuse it when it is not this VM's alone to write to."""
    found = find_path(conn, volume.backing) if volume.backing else None
    if found is None:
        raise InvalidStateError(
            f"can't commit the disk {disk!r} of {domain.name()!r}: "
            + (f"no storage pool has {volume.backing}, which is below it" if volume.backing else "there is nothing below it"),
            resource=domain.name(),
            hint="make a storage pool of the folder of that file"
            if volume.backing
            else "only a disk with a backing file can be committed; `novacron volume list` shows them",
        )
    base = volume_record(connection.name, found)
    files = HostFiles(conn)
    vms = files.users([base.path])[base.path]
    users = [f"the VM {name!r}" for identity, name in vms.items() if identity != domain.UUIDString()]
    users += [f"the volume {name!r}" for name in files.above(base.path) if name != volume.name]
    elsewhere = look_elsewhere(connection, conn, [base.path], files=files)
    users += elsewhere.users.get(base.path, [])
    if users:
        raise InvalidStateError(
            f"can't commit the disk {disk!r} of {domain.name()!r}: {', '.join(users)} would see the change",
            resource=domain.name(),
            hint="pull it instead: then it needs nobody",
        )
    refuse_if_silent(
        domain.name(), f"commit the disk {disk!r} of {domain.name()!r} into {base.path}", elsewhere.silent.get(base.path, ())
    )
    return base


def _record(connection: KVMConnection, domain: Any, target: str) -> Disk:
    elements = parse(domain.XMLDesc(0)).iterfind("devices/disk")
    element = next(e for e in elements if text_of(e, "target/@dev") == target)
    return sized(connection, domain, disk_record(element))


__all__ = ["commit_active", "commit_disk", "pull_disk"]
