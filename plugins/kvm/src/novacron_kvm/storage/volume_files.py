"""Volumes as libvirt has them: finding them, making them whole or not at all, and knowing what needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import libvirt
from tenacity import retry, retry_if_exception_message, stop_after_attempt

from novacron.errors import AlreadyExistsError, NovaCronError, VolumeNotFoundError
from novacron.jobs import Job
from novacron.records.volumes import Volume
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.xml.parsing import parse, text_of

POLL = 0.5
"""Seconds between two looks at the progress of a copy."""


@retry(
    # before QEMU 9.1 qemu-img gives up encrypting where the clock of a thread's CPU time is coarse, as chance has it
    retry=retry_if_exception_message(match=r".*Unable to get accurate CPU usage"),
    stop=stop_after_attempt(40),
    reraise=True,
)
def create_whole(connection: KVMConnection, pool: Any, name: str, make: Callable[[], Any]) -> Any:
    """Let libvirt make a volume; what is there of it when that fails is removed."""
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
    """Delete what was made of a volume, also by a daemon that died meanwhile."""
    parent = pool.name()
    connection.ensure_undone(
        lambda conn: _delete(conn.storagePoolLookupByName(parent), name), f"the volume {name!r} in {parent!r}"
    )


def remove_volume(pool: Any, name: str) -> None:
    """Delete a volume if it is there."""
    try:
        _delete(pool, name)
    except libvirt.libvirtError:
        pass  # it is not there


def _delete(pool: Any, name: str) -> None:
    pool.refresh()
    pool.storageVolLookupByName(name).delete(0)


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
                f"no volume {volume!r} in the pool {pool!r}", resource=volume, hint=f"`novacron volume list {pool}` shows them"
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


@contextmanager
def copy_progress(connection: KVMConnection, pool: str, name: str, size: int, job: Job[Any]) -> Iterator[None]:
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
    "needed_elsewhere",
    "path_in",
    "refresh_pools",
    "remove_volume",
    "remove_created",
    "vms_with",
    "volume_record",
    "volumes_backed_by",
]
