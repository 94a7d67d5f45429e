"""Joins the files of a disk that no snapshot needs any more, and deletes what is left over.

An external snapshot freezes a disk's file and lets the VM write to an overlay above it. Once the snapshot is gone the two can be one
again. At each moment in between, also when this process or the daemon dies, the VM reads the same content through its chain of files:
what is left then is a longer chain, which the next call shortens.

Which files may be touched is written in the VM (`chain` in its facts): those that snapshots froze or made. What is further below, such as
the image that a VM is linked to, never gets there.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import libvirt
from lxml import etree

from novacron.errors import StorageError
from novacron.jobs import Job
from novacron_kvm.connection import KVMConnection
from novacron_kvm.operations.blockjobs import follow
from novacron_kvm.operations.copying import own_disks, point_definition_at
from novacron_kvm.operations.devices import facts_of, set_facts
from novacron_kvm.operations.domainjobs import HELPER
from novacron_kvm.operations.volumefiles import backing_files, find_path, refresh_pools, vms_with, volume_record
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


def disk_files(definition: Any) -> dict[str, str]:
    """Return the file of each disk that a VM writes, by target."""
    found = {text_of(e, "target/@dev") or "": disk_record(e).source or "" for e in own_disks(definition)}
    return {target: path for target, path in found.items() if path.startswith("/")}


def definition_then(snapshot: Any) -> Any:
    """Return the definition that a VM had when a snapshot was taken, from the snapshot's root element."""
    stored = snapshot.find("inactiveDomain")
    if stored is None:
        return snapshot.find("domain")
    stored.tag = "domain"
    return stored


def merge_unneeded(connection: KVMConnection, slow: Any, domain: Any, job: Job[Any]) -> None:
    """Merge and delete those of a VM's files that neither the VM nor a snapshot needs any more.

    A file that cannot go yet stays, and is looked at again by the next call: another VM is linked to it, or a running VM is on one of
    several branches above it.

    Raises:
        StorageError: QEMU could not copy; every file is still there.
    """
    before = None
    while True:
        files = _look(slow, domain)
        step = _next_step(slow, domain, files)
        if step is None:
            break
        if step == before:
            raise StorageError(f"merging {step.above} into {step.path} ended early", resource=domain.name())
        if step.above is None:
            _volume(slow, step.path).delete(0)
        else:
            _merge(connection, slow, domain, files, step.path, step.above, job)
        before = step
    own = facts_of(domain)
    there = {path for path in own.get("chain", ()) if find_path(slow, path) is not None}
    if there <= {*disk_files(parse(domain.XMLDesc(0))).values()}:
        there = set()  # each disk is one file again
    gone = {*own.get("chain", ())} - there
    if gone:
        made = [path for path in own.get("made", ()) if path not in gone or find_path(slow, path) is not None]
        set_facts(domain, {k: v for k, v in (own | {"chain": sorted(there), "made": made}).items() if k != "chain" or v})


def _look(slow: Any, domain: Any) -> Files:
    refresh_pools(slow, {*facts_of(domain).get("chain", ())})
    root = parse(domain.XMLDesc(0))
    active = disk_files(root)
    needed = {*active.values()}
    for snapshot in domain.listAllSnapshots(0):
        needed |= {*disk_files(definition_then(parse(snapshot.getXMLDesc(0)))).values()}
    opened: dict[str, str] = {}
    if domain.isActive():
        for disk in own_disks(root):
            opened |= {source.get("file"): text_of(disk, "target/@dev") or "" for source in disk.iter("source")}
    return Files(active, needed, backing_files(slow), opened)


def _next_step(slow: Any, domain: Any, files: Files) -> Step | None:
    own = facts_of(domain)
    chain, made = {*own.get("chain", ())}, {*own.get("made", ())}
    spare = [
        path
        for path in sorted(chain - files.needed)
        if path in files.below and all(vm == domain.name() for vm in vms_with(slow, path))
    ]
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


def _merge(connection: KVMConnection, slow: Any, domain: Any, files: Files, path: str, above: str, job: Job[Any]) -> None:
    """Join a file with the one above it; the other one is of no use then."""
    target = next((name for name, file in files.active.items() if file == above), None)

    def report(fraction: float) -> None:
        job.report(f"merging {above.rpartition('/')[2]}", fraction)

    if target is not None:
        # what the guest wrote goes into the file below: little is copied, and the disk has its first name again
        if files.opened:
            _commit_active(domain, target, path, job, report)
        else:
            definition = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
            with helper(slow, definition, above) as copier:
                _commit_active(copier, "vda", path, job, report)
        point_definition_at(slow, domain, target, volume_record(connection.name, _volume(slow, path)))
    elif above in files.opened:  # only the QEMU that reads it can write there
        domain.blockCommit(files.opened[above], path, above, 0, 0)
        follow(domain, files.opened[above], job, report, without=above)
        _rename_in_snapshots(domain, above, path)
    else:  # a branch that the VM is not on: its file takes in what is below it, and keeps its name
        roots = [parse(s.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)) for s in domain.listAllSnapshots(0)]
        then = [definition_then(root) for root in roots]
        definition = next((d for d in then if above in disk_files(d).values()), then[0])
        with helper(slow, definition, above) as copier:
            copier.blockRebase("vda", files.below[path], 0, 0)
            follow(copier, "vda", job, report, without=path)


def _commit_active(domain: Any, target: str, path: str, job: Job[Any], report: Any) -> None:
    domain.blockCommit(target, path, None, 0, libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE)
    follow(domain, target, job, report, pivot=True)


def _rename_in_snapshots(domain: Any, old: str, new: str) -> None:
    """Let snapshots name another file, which has the same content now."""
    for snapshot in domain.listAllSnapshots(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL):
        root = parse(snapshot.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE))
        named = [source for source in root.iter("source") if source.get("file") == old]
        for source in named:
            source.set("file", new)
        if named:
            current = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT if snapshot.isCurrent() else 0
            domain.snapshotCreateXML(serialise(root), libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | current)


@contextmanager
def helper(slow: Any, definition: Any, path: str) -> Iterator[Any]:
    """Give a domain with the file as its one disk, "vda", which never runs: QEMU merges files, and from afar nothing else can.

    It ends with our connection, should this process die.
    """
    root = etree.Element("domain", type=definition.get("type"))
    etree.SubElement(root, "name").text = HELPER + uuid.uuid4().hex[:12]
    etree.SubElement(root, "memory", unit="MiB").text = "16"
    kind = definition.find("os/type")
    etree.SubElement(
        etree.SubElement(root, "os"), "type", {k: kind.get(k) for k in ("arch", "machine") if kind.get(k)}
    ).text = "hvm"
    devices = etree.SubElement(root, "devices")
    devices.append(_plain_disk(definition, path, text_of(parse(_volume(slow, path).XMLDesc(0)), "target/format/@type") or "raw"))
    etree.SubElement(devices, "controller", type="usb", model="none")
    etree.SubElement(devices, "memballoon", model="none")
    domain = slow.createXML(serialise(root), libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY)
    try:
        yield domain
    finally:
        domain.destroy()


def _volume(slow: Any, path: str) -> Any:
    volume = find_path(slow, path)
    if volume is None:
        raise StorageError(f"no storage pool has the file {path}", resource=path, hint="has somebody deleted it just now?")
    return volume


def _plain_disk(definition: Any, path: str, format_: str) -> Any:
    """Return a <disk> with nothing but the file, as "vda", and its encryption."""
    original = next((e for e in own_disks(definition) if disk_record(e).source == path), own_disks(definition)[0])
    disk = etree.Element("disk", type="file", device="disk")
    etree.SubElement(disk, "driver", name="qemu", type=format_)
    source = etree.SubElement(disk, "source", file=path)
    source.extend(original.findall("source/encryption"))
    etree.SubElement(disk, "target", dev="vda", bus="virtio")
    return disk


__all__ = ["definition_then", "disk_files", "helper", "merge_unneeded"]
