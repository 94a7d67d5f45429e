"""External snapshots: each disk's file is frozen, and the VM continues with an overlay above it.

libvirt takes them. Reverting to them and deleting them is done here by the same means for all its versions, for it learnt to revert only
with 9.10, deletes only some of them since 9.0, and keeps neither NVRAM nor a TPM's state with a snapshot that has no memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import libvirt
from lxml import etree

from novacron.errors import (
    BusyError,
    HostConnectionError,
    InvalidStateError,
    SnapshotError,
    StorageError,
    UnsupportedOperationError,
)
from novacron.jobs import Job
from novacron.records.vm import VM
from novacron.records.volumes import Volume
from novacron_kvm.connection import KVMConnection
from novacron_kvm.definitions import changing
from novacron_kvm.domains.metadata import change_facts, facts_of
from novacron_kvm.jobs import block_jobs
from novacron_kvm.jobs.domain_jobs import job_progress
from novacron_kvm.jobs.lost_answers import keep_if_done
from novacron_kvm.snapshots.merging import definition_then, disk_files, merge_unneeded
from novacron_kvm.snapshots.metadata import forget
from novacron_kvm.storage.busy_pools import refresh_if_free
from novacron_kvm.storage.copies import overlay, own_disks, set_defined_disk_file, set_disk_file, volume_of
from novacron_kvm.storage.disk_users import refuse_disks_in_use, refuse_written_image
from novacron_kvm.storage.image_content import format_of
from novacron_kvm.storage.luks import refuse_encrypted
from novacron_kvm.storage.state_files import copies_of, copy_state, restore_state, state_folders, unique
from novacron_kvm.storage.volume_files import find_path, remove_created
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import parse, serialise, text_of

if TYPE_CHECKING:
    from novacron.specs.snapshots import SnapshotSpec

SECURE = libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE
"""Passwords too: a definition that is given back without them would lose them."""


def is_external(snapshot: Any) -> bool:
    """Whether a snapshot's definition is an external one's."""
    return any(d.get("snapshot") == "external" for d in snapshot.iterfind("disks/disk"))


def take(
    connection: KVMConnection, conn: Any, domain: Any, record: VM, spec: SnapshotSpec, *, memory: bool, job: Job[Any]
) -> Any:
    """Take an external snapshot and return libvirt's; all of it or nothing.

    Args:
        memory: keep the running VM's memory, while it keeps running.
    """
    live = parse(domain.XMLDesc(0))
    volumes = {text_of(e, "target/@dev") or "": volume_of(conn, e) for e in own_disks(live)}
    formats = {text_of(e, "target/@dev") or "": format_of(e) for e in own_disks(live)}
    label = f"{domain.UUIDString()}.{spec.name}"
    before = facts_of(domain)
    own, overlays = before, dict[str, Volume]()
    root = asked(spec)
    disks = etree.SubElement(root, "disks")
    with ExitStack() as undo:
        undo.callback(lambda: _restore_facts(connection, domain, own, before))
        kept = _pool_of(next(iter(volumes.values())))
        if memory:
            saved = f"{unique(label)}.memory"  # another process may be taking a snapshot of that name
            file = f"{_folder(kept)}/{saved}"
            undo.callback(remove_created, connection, kept, saved)
            etree.SubElement(root, "memory", snapshot="external", file=file)
            own = own.with_files([file])
        else:
            etree.SubElement(root, "memory", snapshot="no")
            own = own.with_files(copy_state(conn, live, kept, label, undo))
        for element in live.iterfind("devices/disk"):
            target = text_of(element, "target/@dev") or ""
            disk = etree.SubElement(disks, "disk", name=target, snapshot="external" if target in volumes else "no")
            if target in volumes:
                base = str(volumes[target].path())
                overlays[target] = _new_overlay(
                    connection,
                    volumes[target],
                    record.name,
                    target,
                    spec.name,
                    formats[target],
                    undo,
                    written=bool(domain.isActive()),
                )
                above = overlays[target].path
                disk.set("type", "file")
                etree.SubElement(disk, "driver", type="qcow2")
                etree.SubElement(disk, "source", file=above)
                own = own.with_overlay(base, above)
        change_facts(connection, domain, before, own)  # before: whatever happens now, what is made is known
        job.raise_if_cancelled()
        # libvirt would make the overlays for all the world to read
        flags = (
            libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
            | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE
            | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT
        )
        if memory:
            flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_LIVE if record.status == "running" else 0
        else:  # without the word libvirt wants internal ones, of a stopped VM too
            flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
            flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE if spec.quiesce else 0
        taken = partial(_has_snapshot, spec.name)
        undo.callback(keep_if_done, connection, undo, record.id, taken, f"files of the snapshot {spec.name!r}")
        with job_progress(connection, record.id, job, "saving memory and disks" if memory else "freezing disks"):
            snapshot = domain.snapshotCreateXML(serialise(root), flags)
        undo.pop_all()
    for target, volume in overlays.items():  # another process may have written back a definition that it read before
        set_defined_disk_file(connection, conn, domain, target, volume)
    return snapshot


def _has_snapshot(name: str, domain: Any) -> bool:
    return name in domain.snapshotListNames()


def revert(connection: KVMConnection, conn: Any, domain: Any, snapshot: Any, job: Job[Any]) -> None:
    """Bring a VM back to an external snapshot: its definition then, on new overlays above what the snapshot froze.

    Until all files are made nothing changes. A VM whose memory then can't be loaded is left stopped, with the disks that it had before.
    """
    name = domain.name()
    if not domain.isPersistent():
        raise InvalidStateError(
            f"can't revert {name!r}: it is transient, and stopping it would end it",
            resource=name,
            hint="define it first: `novacron vm export` and `novacron vm import`",
        )
    root = parse(snapshot.getXMLDesc(SECURE))
    memory = text_of(root, "memory/@file")
    definition = definition_then(root)
    frozen = {disk.get("name") for disk in root.iterfind("disks/disk[@snapshot='external']")}
    if memory and find_path(conn, memory) is None:
        raise SnapshotError(f"the memory of the snapshot {snapshot.getName()!r} is gone: {memory}", resource=name)
    before = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
    own = noted = facts_of(domain)
    formats = {text_of(e, "target/@dev") or "": format_of(e) for e in own_disks(definition)}
    with ExitStack() as undo:
        disks = {}
        for target, path in disk_files(definition, conn).items():
            base = find_path(conn, path)
            if base is None:
                raise SnapshotError(
                    f"the file of the disk {target!r} is gone, or in no storage pool: {path}",
                    resource=name,
                    hint="a storage pool of its folder must be active",
                )
            if target in frozen:
                refuse_written_image(conn, path)
                disks[target] = _new_overlay(connection, base, name, target, snapshot.getName(), formats[target], undo)
                own = own.with_overlay(path, disks[target].path)
        unfrozen = [d for d in definition.iterfind("devices/disk") if text_of(d, "target/@dev") not in frozen]
        refuse_disks_in_use(connection, conn, name, unfrozen, but=domain.UUIDString())
        job.raise_if_cancelled()
        job.report(f"reverting to {snapshot.getName()}")
        power_off(domain)
        undo.callback(
            connection.ensure_undone,
            lambda again: again.defineXMLFlags(before, libvirt.VIR_DOMAIN_DEFINE_VALIDATE),
            f"the new definition of {name!r}",
        )
        with changing(connection, domain):
            own = facts_of(domain).merged(noted, own)
            conn.defineXMLFlags(_on(definition, disks, own), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
        if memory:
            stored = parse(conn.saveImageGetXMLDesc(memory, libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE))
            state = libvirt.VIR_DOMAIN_SAVE_PAUSED if text_of(root, "state") == "paused" else libvirt.VIR_DOMAIN_SAVE_RUNNING
            identity = domain.UUIDString()
            undo.callback(keep_if_done, connection, undo, identity, lambda now: bool(now.isActive()), f"the reverted {name!r}")
            conn.restoreFlags(memory, _on(stored, disks, own), state)
        else:
            kept = _pool_of(find_path(conn, next(iter(disk_files(definition, conn).values()))))
            restore_state(conn, definition, kept, f"{domain.UUIDString()}.{snapshot.getName()}", own.made)
        undo.pop_all()
    redefine = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
    domain.snapshotCreateXML(snapshot.getXMLDesc(SECURE), redefine)
    _merge_after(connection, domain, job, f"{name!r} is reverted")  # what the VM wrote to until now


def power_off(domain: Any) -> None:
    """Discard a VM's memory and saved memory: with other disks it would corrupt them."""
    if domain.isActive():
        domain.destroy()
    elif domain.hasManagedSaveImage():
        domain.managedSaveRemove()


def delete(connection: KVMConnection, conn: Any, domain: Any, snapshots: Iterable[Any], job: Job[Any]) -> None:
    """Delete external snapshots, then merge what they kept apart."""
    end_interrupted_jobs(domain, job)
    own = before = facts_of(domain)
    files, names = set[str](), set[str]()
    for snapshot in snapshots:
        name, root = snapshot.getName(), parse(snapshot.getXMLDesc(0))
        definition, external = definition_then(root), list(root.iterfind("disks/disk[@snapshot='external']"))
        then = disk_files(definition, conn)
        bases = {then[d.get("name")] for d in external if d.get("name") in then}
        overlays = {path for d in external if (path := text_of(d, "source/@file"))}
        own = own.with_chain((*bases, *overlays))
        files |= {copy.path for copy in copies_of(definition, f"{domain.UUIDString()}.{name}", own.made)}
        if memory := text_of(root, "memory/@file"):
            files.add(memory)
        names.add(name)
    change_facts(connection, domain, before, own)  # first, so that the next call can continue an interrupted merge
    forget(domain, names)
    for path in files:
        volume = find_path(conn, path)
        if volume is not None:
            volume.delete(0)
    if files:
        change_facts(connection, domain, own, own.without_files(files))
    _merge_after(connection, domain, job, f"{', '.join(sorted(names))} is deleted")


def _merge_after(connection: KVMConnection, domain: Any, job: Job[Any], done: str) -> None:
    """Merge the files that are not needed any more after a change. An error says that the change itself is done."""
    try:
        merge_unneeded(connection, domain.UUIDString(), job)
    except (BusyError, HostConnectionError, StorageError) as error:
        error.outcome = "unknown"  # the files are not merged yet
        error.message += f"; {done}, and its files are merged by the next delete or revert"
        raise


def refuse_impossible(connection: KVMConnection, conn: Any, domain: Any, record: VM, *, memory: bool) -> None:
    """Refuse what can't be taken, or could be taken but not completely be reverted to.

    Raises:
        SnapshotError, UnsupportedOperationError
    """
    live = parse(domain.XMLDesc(0))
    if (
        not memory
        and any("swtpm" in folder for folder in state_folders(live))
        and not urlsplit(connection.uri).path.endswith("/system")
    ):
        raise UnsupportedOperationError(
            f"the TPM's state of {record.name!r} can't be kept: where a session's libvirt has it is not known",
            resource=record.name,
            hint="keep the memory too",
        )
    disks = list(own_disks(live))
    refuse_encrypted(record.name, disks, "take an external snapshot of")
    for element in disks:
        if element.get("type") not in ("file", "volume") or volume_of(conn, element).info()[0] != libvirt.VIR_STORAGE_VOL_FILE:
            raise UnsupportedOperationError(
                f"the disk {text_of(element, 'target/@dev')!r} is no file: there is no place for an overlay beside it",
                resource=record.name,
                hint="an internal snapshot needs qcow2",
            )
    if not disks:
        raise SnapshotError(f"{record.name!r} has no disk to keep a snapshot of", resource=record.name, hint="attach a disk")


def _restore_facts(connection: KVMConnection, domain: Any, own: VMFacts, before: VMFacts) -> None:
    try:
        change_facts(connection, domain, own, before)
    except (BusyError, libvirt.libvirtError):
        pass  # the VM or the connection is gone; facts of files that never came to be do no harm


def end_interrupted_jobs(domain: Any, job: Job[Any]) -> None:
    """End the merges of a VM's disks that a process which died left to QEMU."""
    block_jobs.end_interrupted_jobs(domain, disk_files(parse(domain.XMLDesc(0)), domain.connect()), job)


def asked(spec: SnapshotSpec) -> Any:
    """Return the definition of a snapshot that leaves all but name and description to libvirt."""
    root = etree.Element("domainsnapshot")
    etree.SubElement(root, "name").text = spec.name
    if spec.description:
        etree.SubElement(root, "description").text = spec.description
    return root


def _on(definition: Any, disks: dict[str, Any], own: VMFacts) -> str:
    """Return a definition with other files for its disks, and with NovaCron's facts of now."""
    for element in own_disks(definition):
        target = text_of(element, "target/@dev")
        if target in disks:
            set_disk_file(element, disks[target])
    own.write(definition)
    return serialise(definition)


def _pool_of(volume: Any) -> Any:
    pool = volume.storagePoolLookupByVolume()
    refresh_if_free(pool)
    return pool


def _folder(pool: Any) -> str:
    return (text_of(parse(pool.XMLDesc(0)), "target/path") or "").rstrip("/")


def _new_overlay(
    connection: KVMConnection,
    base: Any,
    vm: str,
    target: str,
    snapshot: str,
    used_as: str,
    undo: ExitStack,
    *,
    written: bool = False,
) -> Any:
    return overlay(connection, base, f"{vm}-{target}.{snapshot}.qcow2", used_as, undo, written=written)


__all__ = ["asked", "delete", "end_interrupted_jobs", "is_external", "power_off", "refuse_impossible", "revert", "take"]
