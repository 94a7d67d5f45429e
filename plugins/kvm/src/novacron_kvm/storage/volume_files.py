"""Volumes as libvirt has them: finding them, making them whole or not at all, and knowing what needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from posixpath import basename
from typing import Any

import libvirt

from novacron.errors import AlreadyExistsError, BusyError, NovaCronError, StorageError, VolumeNotFoundError
from novacron.jobs import Job
from novacron.records.volumes import Volume
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.storage.busy_pools import refresh_if_free, wait_until_free
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.reading import disk as disk_record
from novacron_kvm.xml.sources import backing_key, normalised

POLL = 0.5
"""Seconds between two looks at the progress of a copy."""


def create_whole(connection: KVMConnection, pool: Any, name: str, make: Callable[[], Any]) -> Any:
    """Let libvirt make a volume; what is there of it when that fails is removed."""
    from tenacity import Retrying, retry_if_exception_message, stop_after_attempt  # not for a listing

    attempts = Retrying(
        # before QEMU 9.1 qemu-img gives up encrypting where the clock of a thread's CPU time is coarse, as chance has it
        retry=retry_if_exception_message(match=r".*Unable to get accurate CPU usage"),
        stop=stop_after_attempt(40),
        reraise=True,
    )
    return attempts(_create, connection, pool, name, make)


def _create(connection: KVMConnection, pool: Any, name: str, make: Callable[[], Any]) -> Any:
    try:
        with translated(resource=name):
            return make()
    except AlreadyExistsError:
        raise  # that one is somebody else's
    except NovaCronError:
        remove_created(connection, pool, name)  # a disk full half-way leaves a part
        raise


def allocating(format_: str, *, preallocate: bool) -> int:
    """Return libvirt's flags for a new volume; without the one a qcow2 is thin, whatever its definition says."""
    return int(libvirt.VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA) if preallocate and format_ == "qcow2" else 0


def remove_created(connection: KVMConnection, pool: Any, name: str) -> None:
    """Delete what was made of a volume, also by a daemon that died meanwhile.

    It stays if a VM uses it: if the connection was lost, libvirt may have done what the error says that it did not.
    """
    parent = pool.name()
    connection.ensure_undone(
        lambda conn: _delete_unused(conn, conn.storagePoolLookupByName(parent), name), f"the volume {name!r} in {parent!r}"
    )


def remove_volume(pool: Any, name: str) -> None:
    """Delete a volume if it is there."""
    try:
        _delete(pool, name)
    except libvirt.libvirtError:
        pass  # it is not there


def _delete_unused(conn: Any, pool: Any, name: str) -> None:
    """Delete a volume when libvirt does not write it any more.

    Raises:
        StorageError: a VM uses it.
    """
    refresh_if_free(pool)
    volume = pool.storageVolLookupByName(name)
    if users := vms_with(conn, volume.path()):
        raise StorageError(f"{volume.path()} is kept: {', '.join(users)} uses it", resource=name)
    wait_until_free(lambda: volume.delete(0))


def _delete(pool: Any, name: str) -> None:
    refresh_if_free(pool)
    pool.storageVolLookupByName(name).delete(0)


def vms_with(connection: Any, path: str, *, only_running: bool = False) -> list[str]:
    """Return the names of the VMs that need a file: as a disk, below one or for a snapshot, whatever their definitions call it."""
    return sorted(HostFiles(connection).users([path], only_running=only_running)[path].values())


def users_of(files: HostFiles, path: str, *, but: str = "", only_running: bool = False) -> list[str]:
    """Return in words who needs a file: VMs, and unless `only_running` the volumes that are backed by it.

    Args:
        but: the UUID of a VM that does not count.
    """
    vms = files.users([path], only_running=only_running)[path]
    found = [f"the VM {name!r}" for identity, name in sorted(vms.items(), key=lambda item: item[1]) if identity != but]
    above = [] if only_running else files.above(path)
    return found + [f"the volume {name!r}, which is backed by it" for name in above]


def backing_files(connection: Any) -> dict[str, str | None]:
    """Return what each volume of the active pools is backed by, by path."""
    below = {}
    for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        for volume in pool.listAllVolumes(0):
            try:
                root = parse(volume.XMLDesc(0))
            except libvirt.libvirtError:
                continue  # it is gone
            path = text_of(root, "target/path") or ""
            below[path] = backing_key(text_of(root, "backingStore/path"), path)
    return below


def refresh_pools(connection: Any, paths: set[str]) -> None:
    """Look again at the storage pools that files are in: other hosts, QEMU and other tools change them unseen by libvirt."""
    for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        folder = text_of(parse(pool.XMLDesc(0)), "target/path")
        if folder and any(path.startswith(folder.rstrip("/") + "/") for path in paths):
            refresh_if_free(pool)


def needed_elsewhere(files: HostFiles, paths: set[str]) -> set[str]:
    """Return those of a VM's files that must stay: another VM needs them, or a volume is backed by them that stays.

    Args:
        files: those of the host.
        paths: files that NovaCron made for the VM.
    """
    keys = {path: files.key(path) for path in paths}
    used, below = files.users(paths, made=True), files.below()
    needed = {keys[path] for path in paths if used[path]}
    going = {(keys[path], basename(path)) for path in paths if not used[path]}  # also in a folder that is a link to theirs
    staying = [name for name in below if (files.key(name), basename(name)) not in going]
    while staying:
        base = below.get(staying.pop())
        if base is not None and base in keys.values() and base not in needed:
            needed.add(base)
            staying.append(base)
    return {path for path in paths if keys[path] in needed}


def find_volume(connection: Any, pool: str, volume: str) -> Any:
    """Return libvirt's volume, looking at the pool again when it isn't known: another host may have made it."""
    with translated(resource=volume):
        parent = connection.storagePoolLookupByName(pool)
        try:
            return parent.storageVolLookupByName(volume)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                raise
        refresh_if_free(parent)
        try:
            return parent.storageVolLookupByName(volume)
        except libvirt.libvirtError as error:
            raise VolumeNotFoundError(
                f"no volume {volume!r} in the pool {pool!r}", resource=volume, hint=f"`novacron volume list {pool}` shows them"
            ) from error


@contextmanager
def existing_volume(connection: Any, pool: str, volume: str) -> Iterator[Any]:
    """Find libvirt's volume for an operation on it.

    Raises:
        VolumeNotFoundError: there is no such volume.
        BusyError: it was there, and vanished during the operation: another client deletes it or makes it anew, as wiping an image does.
    """
    with translated(resource=volume):
        found = find_volume(connection, pool, volume)
        try:
            yield found
        except (libvirt.libvirtError, VolumeNotFoundError) as error:
            if isinstance(error, libvirt.libvirtError) and error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                raise
            if isinstance(error, VolumeNotFoundError) and error.resource != volume:
                raise
            raise BusyError(
                f"the volume {volume!r} of the pool {pool!r} is being deleted or made anew",
                resource=volume,
                hint="try again when that has ended",
            ) from error


def find_path(connection: Any, path: str) -> Any | None:
    """Return libvirt's volume at a path, None when no pool has it.

    The pool around the path is refreshed first if need be. A path through symbolic links leads to the volume that it means.
    """
    plain = normalised(path) if path.startswith("/") else path
    for attempt in range(2):
        for spelling in dict.fromkeys((path, plain)):
            try:
                return connection.storageVolLookupByPath(spelling)
            except libvirt.libvirtError:
                pass  # no pool lists it under that name
        if not attempt:
            refresh_pools(connection, {plain})
    if not path.startswith("/") or plain.startswith("/dev/"):
        return None
    file = HostFiles(connection).file(path)
    if file is None or file.key == plain:
        return None  # no pool has it under any name
    try:
        return connection.storageVolLookupByPath(file.key)
    except libvirt.libvirtError:
        return None  # it is in no pool, or was deleted meanwhile


def volume_of_disk(connection: Any, element: Any) -> Any | None:
    """Return libvirt's volume of a <disk>, however its source is written; None for an empty drive or a source in no pool."""
    source = element.find("source")
    if source is None:
        return None
    if element.get("type") == "volume":
        try:
            return find_volume(connection, source.get("pool", ""), source.get("volume", ""))
        except NovaCronError:
            return None
    path = disk_record(element).source
    return find_path(connection, path) if path else None


@contextmanager
def copy_progress(connection: KVMConnection, pool: str, name: str, size: int, job: Job[Any]) -> Iterator[None]:
    """Report how much of a volume is there while libvirt writes it."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL):
            try:
                with connection.operation():
                    written = connection.read.storagePoolLookupByName(pool).storageVolLookupByName(name).info()[2]
            except (libvirt.libvirtError, NovaCronError):
                continue  # not there yet
            job.report("copying", min(1.0, written / size) if size else None, bytes=written)

    threading.Thread(target=watch, name="novacron-copy", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def path_in(pool: Any, name: str) -> str:
    """Return where a volume of that name is in a pool."""
    return f"{(text_of(parse(pool.XMLDesc(0)), 'target/path') or '').rstrip('/')}/{name}"


def volume_record(host: str, volume: Any) -> Volume:
    """Return the record of libvirt's volume."""
    with translated(resource=volume.name()):
        root = parse(volume.XMLDesc(0))
        return Volume(
            name=volume.name(),
            pool=volume.storagePoolLookupByVolume().name(),
            host=host,
            path=volume.path(),
            format=text_of(root, "target/format/@type") or "raw",
            capacity_bytes=int(text_of(root, "capacity") or 0),
            allocated_bytes=int(text_of(root, "allocation") or 0),
            backing=text_of(root, "backingStore/path"),
            encrypted=root.find("target/encryption") is not None,
        )


__all__ = [
    "allocating",
    "backing_files",
    "copy_progress",
    "find_path",
    "find_volume",
    "create_whole",
    "existing_volume",
    "needed_elsewhere",
    "path_in",
    "refresh_pools",
    "remove_volume",
    "remove_created",
    "users_of",
    "vms_with",
    "volume_of_disk",
    "volume_record",
]
