"""Volumes: making, reading, changing, deleting them, and what goes through streams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import libvirt

from novacron.errors import (
    AlreadyExistsError,
    InvalidSpecError,
    InvalidStateError,
    NovaCronError,
    OperationCancelledError,
    SpecProblem,
    VolumeNotFoundError,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.storage import Volume
from novacron.records.vm import Deleted
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import mapped, translated
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.storage import volume_xml

if TYPE_CHECKING:
    from novacron.specs.storage import VolumeSpec

POLL = 0.5
"""Seconds between looks at how far a copy is."""


class KVMVolumes:
    """Makes, reads, changes and deletes volumes."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def volume_list(self, pool: str) -> list[Volume]:
        """List a pool's volumes."""
        with translated("volume_list", pool):
            volumes = self._connection.read.storagePoolLookupByName(pool).listAllVolumes(0)
            return sorted((volume_record(self._connection.name, v) for v in volumes), key=lambda v: v.name)

    @hookimpl
    def volume_get(self, pool: str, volume: str) -> Volume:
        """Return one."""
        return volume_record(self._connection.name, find_volume(self._connection.read, pool, volume))

    @hookimpl
    def volume_create(self, pool: str, spec: VolumeSpec, job: Job[Volume]) -> Volume:
        """Make a volume; a part of one is removed."""
        with self._connection.slow() as slow, translated("volume_create", spec.name):
            parent = self._pool_for(slow, pool, spec.name)
            backing = (spec.backing, "qcow2") if spec.backing else None
            if spec.backing and not spec.backing.startswith("/"):
                source = volume_record(self._connection.name, find_volume(slow, pool, spec.backing))
                backing = (source.path, source.format)
            text = volume_xml(spec.name, spec.capacity or 0, spec.format, backing, preallocate=spec.preallocate)
            return self._made(parent, spec.name, lambda: parent.createXML(text, 0), spec.capacity or 0, job)

    @hookimpl
    def volume_clone(self, pool: str, volume: str, name: str, job: Job[Volume]) -> Volume:
        """Copy a volume; what it is backed by is copied into it."""
        return self._copied("volume_clone", pool, volume, name, None, job)

    @hookimpl
    def volume_convert(self, pool: str, volume: str, name: str, format: str, job: Job[Volume]) -> Volume:
        """Copy a volume into another format."""
        return self._copied("volume_convert", pool, volume, name, format, job)

    @hookimpl
    def volume_resize(self, pool: str, volume: str, size: int, shrink: bool) -> Volume:
        """Set the capacity of a volume that no running VM uses."""
        with self._connection.slow() as slow, translated("volume_resize", volume):
            found = find_volume(slow, pool, volume)
            now = found.info()[1]
            if size < 1 or (size < now and not shrink):
                problem = SpecProblem("size", str(size), f"at least {now} bytes, or with shrink less: what is beyond is lost")
                raise InvalidSpecError(f"can't resize {volume!r}", problems=[problem], resource=volume)
            self._refuse_used(slow, found, "resize", only_running=True)
            if size != now:
                found.resize(size, libvirt.VIR_STORAGE_VOL_RESIZE_SHRINK if size < now else 0)
            return volume_record(self._connection.name, found)

    @hookimpl
    def volume_wipe(self, pool: str, volume: str, job: Job[Volume]) -> Volume:
        """Overwrite a volume with zeros; libvirt leaves a raw file, so that an image of another format is made anew."""
        with self._connection.slow() as slow, translated("volume_wipe", volume):
            found = find_volume(slow, pool, volume)
            self._refuse_used(slow, found, "wipe")
            before = volume_record(self._connection.name, found)
            job.report("overwriting")
            found.wipe(0)
            if before.format != "raw":
                parent = slow.storagePoolLookupByName(pool)
                found.delete(0)
                found = parent.createXML(volume_xml(volume, before.capacity_bytes, before.format, None), 0)
            return volume_record(self._connection.name, found)

    @hookimpl
    def volume_delete(self, pool: str, volume: str) -> Deleted:
        """Delete a volume that nothing uses."""
        with self._connection.slow() as slow, translated("volume_delete", volume):
            found = find_volume(slow, pool, volume)
            self._refuse_used(slow, found, "delete")
            path = found.path()
            found.delete(0)
        return Deleted(name=volume, removed=(path,))

    @hookimpl
    def volume_upload(self, pool: str, volume: str, source: BinaryIO, job: Job[Volume]) -> Volume:
        """Write a volume's content."""
        from novacron_kvm.operations.streams import left_in, upload

        with self._connection.slow() as slow, translated("volume_upload", volume):
            found = find_volume(slow, pool, volume)
            self._refuse_used(slow, found, "overwrite")
            size, record = left_in(source), volume_record(self._connection.name, found)
            if size is not None and record.format == "raw" and size > record.capacity_bytes:
                problem = SpecProblem("source", f"{size} bytes", f"at most the volume's {record.capacity_bytes} bytes")
                raise InvalidSpecError(f"can't upload to {volume!r}", problems=[problem], resource=volume)
            upload(slow, found, source, job)
            slow.storagePoolLookupByName(pool).refresh()  # an image brings its own format and capacity
            return volume_record(self._connection.name, find_volume(slow, pool, volume))

    @hookimpl
    def volume_download(self, pool: str, volume: str, target: BinaryIO, job: Job[Volume]) -> Volume:
        """Write a volume's content to a file."""
        from novacron_kvm.operations.streams import download

        with self._connection.slow() as slow, translated("volume_download", volume):
            found = find_volume(slow, pool, volume)
            download(slow, found, target, job)
            return volume_record(self._connection.name, found)

    def _copied(self, operation: str, pool: str, volume: str, name: str, wanted: str | None, job: Job[Volume]) -> Volume:
        with self._connection.slow() as slow, translated(operation, volume):
            source = find_volume(slow, pool, volume)
            self._refuse_used(slow, source, "copy", only_running=True)
            record = volume_record(self._connection.name, source)
            parent = self._pool_for(slow, pool, name)
            text = volume_xml(name, record.capacity_bytes, wanted or record.format, None)
            return self._made(parent, name, lambda: parent.createXMLFrom(text, source, 0), record.capacity_bytes, job)

    def _pool_for(self, slow: Any, pool: str, name: str) -> Any:
        if not name or "/" in name or name in (".", ".."):
            raise InvalidSpecError(
                "invalid volume name", problems=[SpecProblem("name", name, "a name, not a path")], resource=name
            )
        parent = slow.storagePoolLookupByName(pool)
        parent.refresh()  # another host of shared storage may have made one
        if name in parent.listVolumes():
            raise AlreadyExistsError(f"a volume {name!r} is already in the storage pool {pool!r}", resource=name)
        return parent

    def _made(self, parent: Any, name: str, make: Callable[[], Any], size: int, job: Job[Volume]) -> Volume:
        """Let libvirt make a volume, tell how far it is, and remove it when that fails or was cancelled: libvirt itself can't stop."""
        from novacron_kvm.operations.diskfiles import remove_volume

        with watched(self._connection, parent.name(), name, size, job):
            try:
                made = make()
            except libvirt.libvirtError as error:
                if not isinstance(mapped(error), AlreadyExistsError):  # that one is somebody else's
                    remove_volume(parent, name)
                raise
        if job.cancel_asked:
            made.delete(0)
            raise OperationCancelledError(f"{job.operation} was cancelled", resource=name)
        return volume_record(self._connection.name, made)

    def _refuse_used(self, slow: Any, volume: Any, verb: str, *, only_running: bool = False) -> None:
        path = volume.path()
        users = [f"the VM {vm!r}" for vm in vms_with(slow, path, only_running=only_running)]
        if not only_running:
            users += [f"the volume {name!r}, which is backed by it" for name in volumes_backed_by(slow, path)]
        if users:
            raise InvalidStateError(
                f"can't {verb} the volume {volume.name()!r}: {', '.join(users)} {'uses' if len(users) == 1 else 'use'} it",
                resource=volume.name(),
                hint="stop the VM, or use `disk_resize` for a running VM's disk"
                if verb == "resize"
                else "detach or delete that first",
            )


@contextmanager
def watched(connection: KVMConnection, pool: str, name: str, size: int, job: Job[Any]) -> Iterator[None]:
    """Report how much of a volume is there while libvirt writes it."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL):
            try:
                written = connection.read.storagePoolLookupByName(pool).storageVolLookupByName(name).info()[2]
            except (libvirt.libvirtError, NovaCronError):
                continue  # not there yet
            job.report("copying", min(1.0, written / size) if size else None, bytes=written)

    threading.Thread(target=watch, name="novacron-copy", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def vms_with(connection: Any, path: str, *, only_running: bool = False) -> list[str]:
    """Return the names of the VMs that have a file as a disk or below one."""
    found = []
    flags = libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE if only_running else 0
    for domain in connection.listAllDomains(flags):
        try:
            text = domain.XMLDesc(0)
        except libvirt.libvirtError:
            continue  # it is gone
        if path in text and any(path in e.attrib.values() for e in parse(text).iterfind("devices/disk//source")):
            found.append(domain.name())
    return sorted(found)


def volumes_backed_by(connection: Any, path: str) -> list[str]:
    """Return the names of the volumes that need a file below them."""
    return sorted(upper.rpartition("/")[2] for upper, lower in backing_files(connection).items() if lower == path)


def backing_files(connection: Any) -> dict[str, str | None]:
    """Return what each volume of the active pools is backed by, by path."""
    below = {}
    for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        for volume in pool.listAllVolumes(0):
            try:
                root = parse(volume.XMLDesc(0))
            except libvirt.libvirtError:
                continue  # it is gone
            below[text_of(root, "target/path") or ""] = text_of(root, "backingStore/path")
    return below


def refresh_pools(connection: Any, paths: set[str]) -> None:
    """Look again at the storage pools that files are in: other hosts, QEMU and other tools change them unseen by libvirt."""
    for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        folder = text_of(parse(pool.XMLDesc(0)), "target/path")
        if folder and any(path.startswith(folder.rstrip("/") + "/") for path in paths):
            pool.refresh()


def needed_elsewhere(connection: Any, paths: set[str]) -> set[str]:
    """Return those of a VM's files that must stay: another VM has them, or a volume is backed by them that stays."""
    if not paths:
        return set()
    needed, below = set(), backing_files(connection)
    for domain in connection.listAllDomains(0):
        try:
            text = domain.XMLDesc(0)
        except libvirt.libvirtError:
            continue  # it is gone
        needed |= {path for path in paths if f"'{path}'" in text}
    staying = [path for path in below if path not in paths or path in needed]
    while staying:
        base = below.get(staying.pop())
        if base in paths and base not in needed:
            needed.add(base)
            staying.append(base)
    return needed


def find_volume(connection: Any, pool: str, volume: str) -> Any:
    """Return libvirt's volume, looking at the pool again when it isn't known: another host may have made it."""
    with translated("volume_get", volume):
        parent = connection.storagePoolLookupByName(pool)
        try:
            return parent.storageVolLookupByName(volume)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                raise
        parent.refresh()
        try:
            return parent.storageVolLookupByName(volume)
        except libvirt.libvirtError as error:
            raise VolumeNotFoundError(
                f"no volume {volume!r} in the pool {pool!r}",
                resource=volume,
                hint=f"`novacron volume list {pool}` shows them",
            ) from error


def find_path(connection: Any, path: str) -> Any | None:
    """Return libvirt's volume at a path, None when no pool has it; the pool around it is looked at again first if need be."""
    for attempt in range(2):
        try:
            return connection.storageVolLookupByPath(path)
        except libvirt.libvirtError:
            if not attempt:
                refresh_pools(connection, {path})
    return None


def volume_record(host: str, volume: Any) -> Volume:
    """Return the record of libvirt's volume."""
    with translated(resource=volume.name()):
        root = parse(volume.XMLDesc(0))
        return Volume(
            name=volume.name(), pool=volume.storagePoolLookupByVolume().name(), host=host, path=volume.path(),
            format=text_of(root, "target/format/@type") or "raw", capacity_bytes=int(text_of(root, "capacity") or 0),
            allocated_bytes=int(text_of(root, "allocation") or 0), backing=text_of(root, "backingStore/path"),
            encrypted=root.find("target/encryption") is not None,
        )  # fmt: skip


__all__ = [
    "KVMVolumes", "backing_files", "find_path", "find_volume", "needed_elsewhere", "refresh_pools", "vms_with", "volume_record",
    "volumes_backed_by",
]  # fmt: skip
