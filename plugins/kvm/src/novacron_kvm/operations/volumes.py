"""Volumes: making, reading, changing, deleting them, and what goes through streams."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import libvirt

from novacron.appliances.temporary import is_temporary
from novacron.errors import (
    AlreadyExistsError,
    ImageNotFoundError,
    InvalidSpecError,
    InvalidStateError,
    NovaCronError,
    OperationCancelledError,
    SpecProblem,
    StorageError,
    UnsupportedOperationError,
    VolumeNotFoundError,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.vm import Deleted
from novacron.records.volumes import Volume
from novacron.units import exact_size
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.inventory.lists import still_there
from novacron_kvm.storage.busy_pools import refresh_if_free, wait_until_free, wait_until_written
from novacron_kvm.storage.disk_users import refuse_written_image, users_everywhere
from novacron_kvm.storage.file_locks import is_locked
from novacron_kvm.storage.held_files import destroying, reading
from novacron_kvm.storage.host_files import looks_of
from novacron_kvm.storage.image_content import complete, refuse_references
from novacron_kvm.storage.luks import secret_provided
from novacron_kvm.storage.other_hosts import refuse_if_silent
from novacron_kvm.storage.volume_files import (
    allocating,
    copy_progress,
    create_whole,
    existing_volume,
    find_path,
    find_volume,
    path_in,
    remove_created,
    volume_record,
)
from novacron_kvm.xml.storage import volume_xml

if TYPE_CHECKING:
    from novacron.specs.volumes import VolumeSpec


class KVMVolumes:
    """Makes, reads, changes and deletes volumes."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection
        self._as_made: dict[str, tuple[str | None, ...]] = {}

    @hookimpl
    def volume_list(self, pool: str) -> list[Volume]:
        """List a pool's volumes."""
        with translated(resource=pool):
            volumes = self._connection.read.storagePoolLookupByName(pool).listAllVolumes(0)
            return sorted(still_there(volumes, partial(volume_record, self._connection.name)), key=lambda v: v.name)

    @hookimpl
    def volume_get(self, pool: str, volume: str) -> Volume:
        """Return one."""
        with existing_volume(self._connection.read, pool, volume) as found:
            return volume_record(self._connection.name, found)

    @hookimpl
    def volume_create(self, pool: str, spec: VolumeSpec, job: Job[Volume]) -> Volume:
        """Make a volume; a part of one is removed."""
        with self._connection.dedicated() as conn, translated(resource=spec.name):
            parent = self._pool_for(conn, pool, spec.name)
            backing = None
            if spec.backing:
                source = self._backing(conn, pool, spec.backing)
                backing = (source.path, source.format)
            with secret_provided(self._connection.secrets, conn, path_in(parent, spec.name), spec.encryption) as secret:
                text = volume_xml(
                    spec.name, spec.capacity or 0, spec.format, backing, preallocate=spec.preallocate, secret=secret
                )
                flags = allocating(spec.format, preallocate=spec.preallocate)
                needs = [backing[0]] if backing else []
                made = self._made(parent, spec.name, lambda: parent.createXML(text, flags), spec.capacity or 0, job, needs)
            self._remember(conn, made)
            return made

    @hookimpl
    def volume_clone(self, pool: str, volume: str, name: str, job: Job[Volume]) -> Volume:
        """Copy a volume; what it is backed by is copied into it."""
        return self._copied(pool, volume, name, None, job)

    @hookimpl
    def volume_convert(self, pool: str, volume: str, name: str, format: str, job: Job[Volume]) -> Volume:
        """Copy a volume into another format."""
        return self._copied(pool, volume, name, format, job)

    @hookimpl
    def volume_resize(self, pool: str, volume: str, size: int, shrink: bool) -> Volume:
        """Set the capacity of a volume that no running VM uses."""
        with self._connection.dedicated() as conn, existing_volume(conn, pool, volume) as found:
            now = found.info()[1]
            if size < 1 or (size < now and not shrink):
                allowed = f"at least {exact_size(now)}; shrink=True (--shrink) allows less, and the data beyond is lost"
                problem = SpecProblem("size", exact_size(size), allowed)
                raise InvalidSpecError(f"can't resize {volume!r}", problems=[problem], resource=volume)
            with destroying(self._connection, conn, [found.path()]):
                self._refuse_used(conn, found, "resize", only_running=True, destroys=size < now)
                if size != now:
                    flags = libvirt.VIR_STORAGE_VOL_RESIZE_SHRINK if size < now else 0
                    wait_until_free(lambda: found.resize(size, flags))
            return volume_record(self._connection.name, found)

    @hookimpl
    def volume_wipe(self, pool: str, volume: str, job: Job[Volume]) -> Volume:
        """Overwrite a volume with zeros; libvirt leaves a raw file, so that an image of another format is made anew."""
        with ExitStack() as held:
            with self._connection.dedicated() as conn, existing_volume(conn, pool, volume) as found:
                held.enter_context(destroying(self._connection, conn, [found.path()]))
                self._refuse_used(conn, found, "wipe")
                before = volume_record(self._connection.name, found)
                _refuse_encrypted(before, "wipe", "delete it: without its header nobody can read what was in it")
                make = self._renewal(conn, pool, before)
                job.report("overwriting")
                if make is None:
                    wait_until_free(lambda: found.wipe(0))
                    return volume_record(self._connection.name, found)
            return self._connection.resumable(_Renewal(self._connection, before, make).finish)

    @hookimpl
    def volume_locked(self, pool: str, volume: str) -> bool:
        """Tell whether QEMU, here or elsewhere, holds the lock of the file, or virtlockd the lease."""
        return is_locked(self._connection, pool, volume)

    @hookimpl
    def volume_delete(self, pool: str, volume: str) -> Deleted:
        """Delete a volume that nothing uses."""
        with self._connection.dedicated() as conn, existing_volume(conn, pool, volume) as found:
            path = found.path()
            with destroying(self._connection, conn, [path]):
                self._refuse_used(conn, found, "delete")
                wait_until_free(lambda: found.delete(0))
        self._as_made.pop(path, None)
        return Deleted(name=volume, removed=(path,))

    @hookimpl
    def volume_upload(self, pool: str, volume: str, source: BinaryIO, job: Job[Volume]) -> Volume:
        """Write a volume's content."""
        from novacron_kvm.storage.streams import left_in, upload

        with self._connection.dedicated() as conn, existing_volume(conn, pool, volume) as found, ExitStack() as held:
            held.enter_context(destroying(self._connection, conn, [found.path()]))
            self._refuse_used(conn, found, "overwrite")
            size, record = left_in(source), volume_record(self._connection.name, found)
            if size is not None and record.format == "raw" and size > record.capacity_bytes:
                problem = SpecProblem("source", f"{size} bytes", f"at most the volume's {record.capacity_bytes} bytes")
                raise InvalidSpecError(f"can't upload to {volume!r}", problems=[problem], resource=volume)
            new = self._is_as_made(found)
            try:
                upload(conn, found, complete(source, volume), job)
            except BaseException:
                if new:
                    with suppress(libvirt.libvirtError, NovaCronError):
                        wait_until_written(found)
                        self._remember(conn, record)  # a part of what was sent is of no use to anybody
                raise
            self._as_made.pop(record.path, None)
            refresh_if_free(conn.storagePoolLookupByName(pool))  # an image brings its own format and capacity
            return volume_record(self._connection.name, find_volume(conn, pool, volume))

    @hookimpl
    def volume_download(self, pool: str, volume: str, target: BinaryIO, job: Job[Volume]) -> Volume:
        """Write a volume's content to a file."""
        from novacron_kvm.storage.streams import download

        with self._connection.dedicated() as conn, existing_volume(conn, pool, volume) as found:
            record = volume_record(self._connection.name, found)
            longest = max(record.capacity_bytes, record.allocated_bytes or 0) if record.format == "raw" else None
            download(conn, found, target, job, longest=longest)
            return record

    def _backing(self, conn: Any, pool: str, name: str) -> Volume:
        """Return the volume that backs a new one; refuse one that a VM writes, or that refers to files outside of the pools."""
        found = find_path(conn, name) if name.startswith("/") else find_volume(conn, pool, name)
        if found is None:
            raise VolumeNotFoundError(
                f"no storage pool has the file {name!r}", resource=name, hint="make its folder a pool (`novacron pool create`)"
            )
        refuse_written_image(conn, str(found.path()))
        refuse_references(conn, found)
        return volume_record(self._connection.name, found)

    def _copied(self, pool: str, volume: str, name: str, wanted: str | None, job: Job[Volume]) -> Volume:
        with self._connection.dedicated() as conn, existing_volume(conn, pool, volume) as source:
            self._refuse_used(conn, source, "copy", only_running=True, destroys=False)
            record = volume_record(self._connection.name, source)
            _refuse_encrypted(record, "copy", "download and upload it as it is, or copy within a guest")
            parent = self._pool_for(conn, pool, name)
            refuse_references(conn, source)
            text = volume_xml(name, record.capacity_bytes, wanted or record.format, None)
            copy = partial(parent.createXMLFrom, text, source, 0)
            return self._made(parent, name, copy, record.capacity_bytes, job, [record.path])

    def _renewal(self, conn: Any, pool: str, before: Volume) -> Callable[[Any, str], Any] | None:
        """Return what makes an empty image like one in a pool, under a name; None for a raw one, which needs that not.

        The new image is first made under another name: what a damaged header says, or a backing file that is gone, makes that fail, and
        then the volume is not touched.

        Raises:
            StorageError: the image can't be made anew.
        """
        if before.format == "raw":
            return None
        full, backing = (before.allocated_bytes or 0) >= before.capacity_bytes, None
        if before.backing:
            below = find_path(conn, before.backing)
            backing = (before.backing, volume_record(self._connection.name, below).format if below else "raw")
        flags = allocating(before.format, preallocate=full)

        def make(parent: Any, name: str) -> Any:
            text = volume_xml(name, before.capacity_bytes, before.format, backing, preallocate=full)
            return create_whole(self._connection, parent, name, lambda: parent.createXML(text, flags))

        try:
            make(conn.storagePoolLookupByName(pool), f"{before.name}.{uuid.uuid4().hex[:8]}").delete(0)
        except (ImageNotFoundError, InvalidSpecError, StorageError) as error:
            raise StorageError(
                f"can't wipe {before.name!r}: an empty image like it can't be made: {error}",
                resource=before.name,
                hint="its header is damaged, or its backing file is gone: delete the volume, and create a new one",
            ) from error

        return make

    def _pool_for(self, conn: Any, pool: str, name: str) -> Any:
        if not name or "/" in name or name in (".", ".."):
            raise InvalidSpecError(
                "invalid volume name", problems=[SpecProblem("name", name, "a name, not a path")], resource=name
            )
        parent = conn.storagePoolLookupByName(pool)
        refresh_if_free(parent)  # another host of shared storage may have made one
        if name in parent.listVolumes():
            raise AlreadyExistsError(f"a volume {name!r} is already in the storage pool {pool!r}", resource=name)
        return parent

    def _made(self, parent: Any, name: str, make: Callable[[], Any], size: int, job: Job[Volume], needs: Sequence[str]) -> Volume:
        """Let libvirt make a volume, tell how far it is, and remove it when that fails or was cancelled: libvirt itself can't stop.

        Args:
            needs: files whose content it needs. If another process changes one meanwhile, that is a failure.
        """
        with ExitStack() as undo:
            with reading(self._connection, parent.connect(), needs):
                with copy_progress(self._connection, parent.name(), name, size, job):
                    made = create_whole(self._connection, parent, name, make)
                undo.callback(remove_created, self._connection, parent, name)
            if job.cancel_asked:
                raise OperationCancelledError(f"{job.operation} was cancelled", resource=name)
            undo.pop_all()
        return volume_record(self._connection.name, made)

    def _remember(self, conn: Any, made: Volume) -> None:
        """Remember how a new volume looks. As long as it does, it has no content, and no VM of any host has been started with it."""
        with suppress(libvirt.libvirtError):
            looks = looks_of(conn.storageVolLookupByPath(made.path))
            if looks is not None:
                self._as_made[made.path] = looks

    def _is_as_made(self, volume: Any) -> bool:
        known = self._as_made.get(volume.path())
        return known is not None and known == looks_of(volume)

    def _refuse_used(self, conn: Any, volume: Any, verb: str, *, only_running: bool = False, destroys: bool = True) -> None:
        """Raise an error if anything uses a volume, or if another client still uploads to it when the time is over.

        Args:
            destroys: whether content is lost: then nothing on a host that does not answer may use it either. A new volume has no content.
        """
        users, silent = users_everywhere(self._connection, conn, volume.path(), only_running=only_running)
        if users:
            raise InvalidStateError(
                f"can't {verb} the volume {volume.name()!r}: {', '.join(users)} {'uses' if len(users) == 1 else 'use'} it",
                resource=volume.name(),
                hint="stop the VM, or use `novacron disk resize` for a running VM's disk"
                if verb == "resize"
                else "detach or delete that first",
            )
        if destroys and not self._is_as_made(volume) and not is_temporary(volume.name()):
            refuse_if_silent(volume.name(), f"{verb} the volume {volume.name()!r}", silent)
        wait_until_written(volume)


class _Renewal:
    """Wipes an image and makes it anew. `finish` may be called again on a new connection: it goes on where the last one was lost.

    Args:
        connection: the host.
        before: the image.
        make: makes an empty image like it in a pool, under a name.
    """

    def __init__(self, connection: KVMConnection, before: Volume, make: Callable[[Any, str], Any]) -> None:
        self._connection, self._before, self._make = connection, before, make
        self._wiped = self._deleted = False

    def finish(self, conn: Any) -> Volume:
        """Overwrite the image, delete it and make it anew."""
        before = self._before
        with translated(resource=before.name):
            if not self._deleted:
                self._delete(conn)
            return volume_record(self._connection.name, self._make(conn.storagePoolLookupByName(before.pool), before.name))

    def _delete(self, conn: Any) -> None:
        try:
            with existing_volume(conn, self._before.pool, self._before.name) as volume:
                if not self._wiped:
                    wait_until_free(lambda: volume.wipe(0))
                self._wiped = True
                wait_until_free(lambda: volume.delete(0))
        except VolumeNotFoundError:
            if not self._wiped:
                raise
            # libvirt has deleted it, and its answer was lost
        self._deleted = True


def _refuse_encrypted(volume: Volume, verb: str, hint: str) -> None:
    if volume.encrypted:
        raise UnsupportedOperationError(f"can't {verb} {volume.name!r}: it is encrypted", resource=volume.name, hint=hint)


__all__ = ["KVMVolumes"]
