"""Joins the files of a disk that no snapshot needs any more, and deletes what is left over.

An external snapshot freezes a disk's file and lets the VM write to an overlay above it. Once the snapshot is gone the two can be one
again. At each moment in between, also when this process or the daemon dies, the VM reads the same content through its chain of files:
what is left then is a longer chain, which the next call shortens.

Which files may be touched is written in the VM (`chain` in its facts): those that snapshots froze or made. What is further below, such as
the image that a VM is linked to, never gets there.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import libvirt

from novacron.errors import StorageError
from novacron.jobs import Job
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.metadata import change_facts, facts_of
from novacron_kvm.domains.snapshots import snapshots_of
from novacron_kvm.jobs.block_jobs import end_interrupted_jobs, run_block_job
from novacron_kvm.jobs.lost_vms import tell_if_vm_ended
from novacron_kvm.storage.chains import commit_active
from novacron_kvm.storage.copies import own_disks, set_defined_disk_file
from novacron_kvm.storage.held_files import destroying
from novacron_kvm.storage.helper_domain import existing_volume, helper_domain
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.storage.other_hosts import may_be_needed_elsewhere
from novacron_kvm.storage.volume_files import backing_files, find_path, refresh_pools, volume_of_disk, volume_record
from novacron_kvm.xml.parsing import parse, serialise, text_of
from novacron_kvm.xml.reading import disk as disk_record


class Files(NamedTuple):
    """What a VM's files are for at one moment.

    Attributes:
        active: the file that each disk of the VM is written to, by target.
        needed: those, and what the snapshots froze.
        below: what each file known to a storage pool is backed by.
        opened: which disk a running QEMU has each file open for, below another too.
    """

    active: dict[str, str]
    needed: set[str]
    below: dict[str, str | None]
    opened: dict[str, str]

    def above(self, path: str) -> list[str]:
        """Return the files that are directly backed by one."""
        return [upper for upper, lower in self.below.items() if lower == path]


class Step(NamedTuple):
    """A file that is not needed, and the only one above it, with which it is merged; None: it is deleted."""

    path: str
    above: str | None


def disk_files(definition: Any, conn: Any) -> dict[str, str]:
    """Return the file of each disk that a VM writes, by target; of one that is named as a volume of a storage pool, the volume's."""
    found = {}
    for element in own_disks(definition):
        path = disk_record(element).source or ""
        if element.get("type") == "volume" and (volume := volume_of_disk(conn, element)) is not None:
            path = str(volume.path())
        if path.startswith("/"):
            found[text_of(element, "target/@dev") or ""] = path
    return found


def definition_then(snapshot: Any) -> Any:
    """Return the definition that a VM had when a snapshot was taken, from the snapshot's root element."""
    stored = snapshot.find("inactiveDomain")
    if stored is None:
        return snapshot.find("domain")
    stored.tag = "domain"
    return stored


def merge_unneeded(connection: KVMConnection, vm: str, job: Job[Any]) -> None:
    """Merge and delete those of a VM's files that neither the VM nor a snapshot needs any more, also if libvirtd is restarted meanwhile.

    A file that cannot go yet stays, and is looked at again by the next call: another VM, also of another host of the fleet, uses it or is
    linked to it, such a host does not answer, or a running VM is on one of several branches above it.

    Args:
        vm: the UUID.

    Raises:
        StorageError: QEMU could not copy; every file is still there.
    """
    merge = partial(_merge_all, connection, vm, job)
    with tell_if_vm_ended(connection, vm):
        try:
            connection.resumable(merge)
        except StorageError as error:
            if not error.details.get("restarted"):
                raise
            connection.resumable(merge)  # the job did not survive libvirtd's restart; the files are all there


def _merge_all(connection: KVMConnection, vm: str, job: Job[Any], conn: Any) -> None:
    domain = connection.domain(vm, conn)
    active = disk_files(parse(domain.XMLDesc(0)), conn)
    end_interrupted_jobs(domain, active, job)
    if domain.isActive():  # a process may have died after QEMU switched to another file, and before the definition named it
        chain = facts_of(domain).chain
        for target, path in disk_files(_defined(domain), conn).items():
            if {path, active.get(target)} <= {*chain}:
                _define_disk_file(connection, vm, target, active[target], conn)
    before = None
    with destroying(connection, conn, facts_of(domain).chain):
        while True:
            files = _look(conn, domain)
            step = _next_step(connection, conn, domain, files)
            if step is None:
                break
            if step == before:
                raise StorageError(f"merging {step.above} into {step.path} ended early", resource=domain.name())
            if step.above is None:
                existing_volume(conn, step.path).delete(0)
            else:
                _merge(connection, conn, domain, files, step.path, step.above, job)
            before = step
    own = facts_of(domain)
    there = {path for path in own.chain if find_path(conn, path) is not None}
    if there <= {*disk_files(parse(domain.XMLDesc(0)), conn).values()}:
        there = set()  # each disk is one file again
    gone = {*own.chain} - there
    if gone:
        deleted = {path for path in gone if find_path(conn, path) is None}
        change_facts(connection, domain, own, own.without_files(deleted).changed(chain=tuple(sorted(there))))


def _look(conn: Any, domain: Any) -> Files:
    refresh_pools(conn, {*facts_of(domain).chain})
    root = parse(domain.XMLDesc(0))
    active = disk_files(root, conn)
    needed = {*active.values(), *disk_files(_defined(domain), conn).values()}
    for _, snapshot in snapshots_of(domain):
        needed |= {*disk_files(definition_then(snapshot), conn).values()}
    opened: dict[str, str] = {}
    if domain.isActive():
        for disk in own_disks(root):
            opened |= {source.get("file"): text_of(disk, "target/@dev") or "" for source in disk.iter("source")}
        opened |= {path: target for target, path in active.items()}  # a disk that names a volume has no file there
    return Files(active, needed, backing_files(conn), opened)


def _defined(domain: Any) -> Any:
    """Return the definition that a VM starts with; of a transient VM the only one that it has."""
    return parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if domain.isPersistent() else 0))


def _next_step(connection: KVMConnection, conn: Any, domain: Any, files: Files) -> Step | None:
    own = facts_of(domain)
    chain, made = {*own.chain}, {*own.made}
    spare = [path for path in sorted(chain - files.needed) if path in files.below]
    if not spare:
        return None
    here = HostFiles(conn)
    users = here.users(spare)
    spare = [path for path in spare if users[path].keys() <= {domain.UUIDString()}]
    elsewhere = may_be_needed_elsewhere(connection, conn, spare, files=here)
    spare = [path for path in spare if path not in elsewhere]
    # an overlay may be deleted; a file that was there before the first snapshot only if it was made for the VM
    deletable = {path for path in spare if path in made or files.below[path] in chain}
    for path in deletable:
        if not files.above(path):
            return Step(path, None)
    for path in spare:
        above = files.above(path)
        if len(above) != 1 or above[0] not in chain:
            continue
        if above[0] in files.active.values() or (above[0] in files.opened and len(files.above(above[0])) == 1):
            return Step(path, above[0])
        if above[0] not in files.opened and path in deletable:
            return Step(path, above[0])
    return None


def _merge(connection: KVMConnection, conn: Any, domain: Any, files: Files, path: str, above: str, job: Job[Any]) -> None:
    """Join a file with the one above it; the other one is of no use then."""
    target = next((name for name, file in files.active.items() if file == above), None)

    def report(fraction: float) -> None:
        job.report(f"merging {above.rpartition('/')[2]}", fraction)

    if target is not None:
        # what the guest wrote goes into the file below: little is copied, and the disk has its first name again
        if files.opened:
            commit_active(connection, domain, target, path, job, report)
        else:
            definition = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
            with helper_domain(connection, conn, definition, above) as copier:
                commit_active(connection, copier, "vda", path, job, report)
        connection.resumable(partial(_define_disk_file, connection, domain.UUIDString(), target, path))
    elif above in files.opened:  # only the QEMU that reads it can write there
        disk = files.opened[above]
        run_block_job(connection, domain, disk, partial(domain.blockCommit, disk, path, above, 0, 0), job, report, without=above)
        connection.resumable(partial(_rename_in_snapshots, domain.UUIDString(), above, path))
    else:  # a branch that the VM is not on: its file takes in what is below it, and keeps its name
        roots = [root for _, root in snapshots_of(domain, libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)]
        then = [definition_then(root) for root in roots]
        definition = next((d for d in then if above in disk_files(d, conn).values()), then[0])
        with helper_domain(connection, conn, definition, above) as copier:
            start = partial(copier.blockRebase, "vda", files.below[path], 0, 0)
            run_block_job(connection, copier, "vda", start, job, report, without=path)


def _define_disk_file(connection: KVMConnection, vm: str, target: str, path: str, conn: Any) -> None:
    volume = volume_record(connection.name, existing_volume(conn, path))
    set_defined_disk_file(connection, conn, connection.domain(vm, conn), target, volume)


def _rename_in_snapshots(vm: str, old: str, new: str, conn: Any) -> None:
    """Let snapshots name another file, which has the same content now."""
    domain = conn.lookupByUUIDString(vm)
    for snapshot, root in snapshots_of(domain, libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE):
        named = [source for source in root.iter("source") if source.get("file") == old]
        for source in named:
            source.set("file", new)
        if named:
            current = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT if snapshot.isCurrent() else 0
            domain.snapshotCreateXML(serialise(root), libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | current)


__all__ = ["definition_then", "disk_files", "merge_unneeded"]
