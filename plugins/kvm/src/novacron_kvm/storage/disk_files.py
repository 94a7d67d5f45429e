"""Makes the files that a new VM needs; what was made is undone when a later step fails."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from novacron.errors import AlreadyExistsError, ImageNotFoundError, VolumeNotFoundError
from novacron.jobs import Job
from novacron.records.volumes import Volume
from novacron.specs.sources import refuse_url
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.storage.busy_pools import refresh_if_free
from novacron_kvm.storage.disk_users import refuse_written_image
from novacron_kvm.storage.held_files import reading
from novacron_kvm.storage.image_content import IMAGES, refuse_references
from novacron_kvm.storage.luks import forget_secret, provide_secret
from novacron_kvm.storage.volume_files import (
    allocating,
    create_whole,
    find_path,
    find_volume,
    path_in,
    remove_created,
    volume_record,
)
from novacron_kvm.xml.devices.disk import DiskFile, place
from novacron_kvm.xml.platforms import Buses
from novacron_kvm.xml.storage import volume_xml

if TYPE_CHECKING:
    from novacron.specs.disks import DiskSpec
    from novacron.specs.vm import VMSpec


def make_disks(
    connection: KVMConnection, conn: Any, spec: VMSpec, job: Job[Any], undo: ExitStack, buses: Buses
) -> list[DiskFile]:
    """Return the VM's disks in order, their files made. Each one made is removed by `undo`."""
    from novacron_kvm.storage.cloud_init import make_seed

    wanted = _wanted(spec, buses, make_seed(connection, conn, spec, undo) if spec.cloud_init else None)
    found = []
    for number, (disk, (bus, target)) in enumerate(zip(wanted, place(wanted, buses), strict=True)):
        job.raise_if_cancelled()
        job.report(f"disk {number + 1} of {len(wanted)}", number / max(1, len(wanted)))
        found.append(make_disk(connection, conn, spec.name, disk, bus, target, undo))
    if spec.cloud_init:
        found[-1] = found[-1]._replace(made=True)
    return found


def planned_disks(connection: KVMConnection, conn: Any, spec: VMSpec, buses: Buses) -> list[DiskFile]:
    """Return the disks as `make_disks` does, but make no file. Images and other existing files are looked up."""
    from novacron_kvm.storage.cloud_init import seed_path

    seed = seed_path(conn, spec) if spec.cloud_init else None
    wanted, found = _wanted(spec, buses, seed), list[DiskFile]()
    for disk, (bus, target) in zip(wanted, place(wanted, buses), strict=True):
        if seed and disk.path == seed:
            found.append(DiskFile(disk, seed, "raw", target, bus, True))
        elif is_new(disk):
            found.append(_planned(connection, conn, spec.name, disk, bus, target))
        else:
            with ExitStack() as undo:  # an encrypted one is looked up with its secret
                found.append(make_disk(connection, conn, spec.name, disk, bus, target, undo))
    return found


def _planned(connection: KVMConnection, conn: Any, vm: str, disk: DiskSpec, bus: str, target: str) -> DiskFile:
    """Return a new disk with the file that it would get."""
    with translated(resource=disk.name or target):
        if disk.source:
            image = find_image(connection, conn, disk.source, disk.pool)
            refuse_written_image(conn, image.path, whole=disk.copy_mode == "full")
        pool = conn.storagePoolLookupByName(disk.pool)
        there = pool.listVolumes() if pool.isActive() else ()
        path = path_in(pool, _volume_name(there, vm, disk, target))
    return DiskFile(disk, path, disk.format, target, bus, True)


def _wanted(spec: VMSpec, buses: Buses, seed: str | None) -> list[DiskSpec]:
    """Return the disks of a spec, then the drives of its ISO and of its cloud-init seed."""
    from novacron.specs.disks import DiskSpec

    wanted = [*spec.disks]
    if spec.iso:
        wanted.append(DiskSpec(device="cdrom", path=spec.iso))
    if seed:
        from novacron_kvm.storage.cloud_init import seed_drive

        wanted.append(seed_drive(seed, [bus for bus, _ in place(wanted, buses)]))
    return wanted


def is_new(disk: DiskSpec) -> bool:
    """Whether a file has to be made for a disk: it is blank or starts from an image."""
    return not disk.path and bool(disk.size or disk.source)


def make_disk(connection: KVMConnection, conn: Any, vm: str, disk: DiskSpec, bus: str, target: str, undo: ExitStack) -> DiskFile:
    """Return a disk of a VM, its file made, or found when it was there; one that was made is removed by `undo`."""
    if not is_new(disk):
        volume = find_image(connection, conn, disk.path, disk.pool) if disk.path else None
        if volume and disk.encryption:
            provide_secret(connection.secrets, conn, volume.path, disk.encryption)
            undo.callback(forget_secret, conn, volume.path)
        return DiskFile(disk, volume.path if volume else None, _qemu_format(volume), target, bus, False)
    volume = _make(connection, conn, vm, disk, target, undo)
    return DiskFile(disk, volume.path, volume.format, target, bus, True)


def _qemu_format(volume: Volume | None) -> str:
    """Return the format that QEMU opens a file as: what it does not know (an ISO) is raw to it."""
    known = ("qcow2", "vmdk", "vdi", "vhdx", "qed", "vpc")
    return volume.format if volume and volume.format in known else "raw"


def _make(connection: KVMConnection, conn: Any, vm: str, disk: DiskSpec, target: str, undo: ExitStack) -> Volume:
    with translated(resource=disk.name or f"{vm}-{target}"):
        pool = conn.storagePoolLookupByName(disk.pool)
        if not pool.isActive():
            pool.create(0)
        refresh_if_free(pool)  # another host of shared storage may have made one
        name = _volume_name(pool.listVolumes(), vm, disk, target)
        secret = None
        if disk.encryption:
            secret = provide_secret(connection.secrets, conn, path_in(pool, name), disk.encryption)
            undo.callback(forget_secret, conn, path_in(pool, name))
        if disk.source:
            image = find_image(connection, conn, disk.source, disk.pool)
            refuse_written_image(conn, image.path, whole=disk.copy_mode == "full")
            size = disk.size_of_copy(image.capacity_bytes, vm)
            if disk.copy_mode == "full":
                source = find_path(conn, image.path)
                made = _created(
                    connection,
                    undo,
                    lambda: pool.createXMLFrom(volume_xml(name, size, disk.format, None, secret=secret), source, 0),
                    pool,
                    name,
                )
                if size > image.capacity_bytes:
                    made.resize(size, 0)
            else:
                backed = volume_xml(name, size, disk.format, (image.path, image.format))
                with reading(connection, conn, [image.path]):
                    made = _created(connection, undo, lambda: pool.createXML(backed, 0), pool, name)
        else:
            blank = volume_xml(name, disk.size or 0, disk.format, None, preallocate=disk.preallocate, secret=secret)
            made = _created(
                connection,
                undo,
                lambda: pool.createXML(blank, allocating(disk.format, preallocate=disk.preallocate)),
                pool,
                name,
            )
        return volume_record(connection.name, made)


def _volume_name(there: Collection[str], vm: str, disk: DiskSpec, target: str) -> str:
    """Return the name of a new disk's volume in a pool that has the volumes `there`."""
    if disk.name is None:
        return free_name(there, f"{vm}-{target}.{disk.format}")
    if disk.name in there:
        raise AlreadyExistsError(f"a volume {disk.name!r} is already in the pool {disk.pool!r}", resource=disk.name)
    return disk.name


def free_name(there: Collection[str], name: str) -> str:
    """Return a volume's name, with a number before its suffix if it is in `there`: web-vda.qcow2, web-vda-2.qcow2.

    Example:
        >>> free_name([], "web-vda.qcow2"), free_name(["web-vda.qcow2"], "web-vda.qcow2")
        ('web-vda.qcow2', 'web-vda-2.qcow2')
    """
    (stem, dot, suffix), number, found = name.rpartition("."), 1, name
    while found in there:
        number += 1
        found = f"{stem}-{number}{dot}{suffix}"
    return found


def _created(connection: KVMConnection, undo: ExitStack, create: Any, pool: Any, name: str) -> Any:
    made = create_whole(connection, pool, name, create)
    undo.callback(remove_created, connection, pool, name)
    return made


def find_image(connection: KVMConnection, conn: Any, source: str, pool: str) -> Volume:
    """Return the volume that "image:NAME", "POOL/VOLUME", a name in `pool` or an absolute path means.

    Raises:
        ImageNotFoundError: there is none.
        InvalidSpecError: it is a URL.
    """
    refuse_url(source, pool)
    default = pool
    try:
        if source.startswith("/"):
            return _complete(conn, _existing(connection, conn, source))
        pool, _, name = source.rpartition("/")
        pool = pool or default
        name = name.removeprefix("image:")
        for candidate in (name, f"{name}.qcow2", f"{name}.img", f"{name}.raw"):
            try:
                return _complete(conn, volume_record(connection.name, find_volume(conn, pool, candidate)))
            except VolumeNotFoundError:
                if candidate.endswith(".raw"):
                    raise
    except VolumeNotFoundError:
        pass
    raise ImageNotFoundError(
        f"no image {source!r}", resource=source, hint=f"`novacron volume list {default}` shows what is there"
    )


def _complete(conn: Any, image: Volume) -> Volume:
    """Return an existing image that refers to no file outside of the storage pools. Raises ImageError."""
    if image.format in IMAGES and (volume := find_path(conn, image.path)) is not None:
        refuse_references(conn, volume)
    return image


def _existing(connection: KVMConnection, conn: Any, path: str) -> Volume:
    found = find_path(conn, path)
    if found is not None:
        return volume_record(connection.name, found)
    if path.startswith("image:"):
        return volume_record(connection.name, find_volume(conn, "default", path.removeprefix("image:")))
    raise ImageNotFoundError(
        f"no storage pool has the file {path!r}",
        resource=path,
        hint="check the path; of a file outside of all storage pools, make its folder a pool (`novacron pool create`)",
    )


__all__ = ["find_image", "free_name", "is_new", "make_disk", "make_disks", "planned_disks"]
