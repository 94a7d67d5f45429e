"""Creates the volumes of a VM's disks. They are deleted if a later step fails."""

from __future__ import annotations

import itertools
import string
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from novacron.drivers.sim.state.machine import Place, SimVM
from novacron.drivers.sim.state.pools import SimPool, SimVolume
from novacron.drivers.sim.state.world import World
from novacron.errors import AlreadyExistsError, DiskLockedError, ImageNotFoundError, NotFoundError
from novacron.records.disks import Disk
from novacron.specs.sources import refuse_url

if TYPE_CHECKING:
    from novacron.specs.disks import DiskSpec

PREFIX = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd", "nvme": "nvme"}
_SUFFIXES = ("", ".qcow2", ".img", ".raw")


def make_disk(world: World, vm: str, spec: DiskSpec, taken: Collection[str], undo: ExitStack) -> tuple[Disk, Place | None]:
    """Return a disk and the volume that was created for it, if any. The volume has the given name, or an unused one.

    Raises:
        ImageNotFoundError, StoragePoolNotFoundError, AlreadyExistsError, InvalidStateError, ResourceAllocationError, DiskLockedError
    """
    bus = spec.bus or ("sata" if spec.device == "cdrom" else "virtio")
    prefix = "fd" if spec.device == "floppy" else PREFIX[bus]
    target = spec.target or next(name for name in _targets(prefix) if name not in taken)
    made: Place | None = None
    place: Place | None = None
    if spec.path:
        place = image_place(world, spec.path, spec.pool)
        if spec.device == "disk" and not spec.read_only and not spec.shareable:
            refuse_users(world, vm, target, place)
    elif spec.size or spec.source:
        name = f"{vm}-{target}.{spec.format}"
        for number in itertools.count(2) if not spec.name and spec.pool in world.pools else ():
            if not taken_volume(world, world.pools[spec.pool], name):
                break
            name = f"{vm}-{target}-{number}.{spec.format}"
        place = made = _make_volume(world, name, spec, undo)
    disk = Disk(
        target=target,
        device=spec.device,
        bus=bus,
        read_only=spec.read_only or spec.device == "cdrom",
        shareable=spec.shareable,
        boot_order=spec.boot_order,
        serial=spec.serial,
    )
    return (with_volume(world, disk, place) if place else disk), made


def refuse_users(world: World, vm: str, target: str, place: Place) -> None:
    """Raise DiskLockedError if another VM, a volume or a template needs a volume that the VM would write to."""
    users = [user for user in world.users(place) if user != f"the VM {vm!r}"]
    if users:
        raise DiskLockedError(
            f"the disk {target!r}, {place[1]}, is used by {', '.join(users)}",
            resource=vm,
            hint="detach it there, or delete that VM and keep its disks, or make the disk read-only or shareable",
        )


def _refuse_written(world: World, place: Place, *, whole: bool) -> None:
    """Raise DiskLockedError if a VM can write to an image: all of it can be copied while the VM is stopped."""
    users = [
        repr(vm.name)
        for vm in world.vms.values()
        if (vm.active or not whole) and any((d.pool, d.volume) == place and not d.read_only for d in vm.disks)
    ]
    if users:
        raise DiskLockedError(
            f"can't start from {place[1]}: it is the disk of the VM {', '.join(users)}, which can write to it",
            resource=place[1],
            hint="clone the VM (`novacron vm clone`), or make a template of it (`novacron template create`)",
        )


def _targets(prefix: str) -> Iterator[str]:
    """Yield vda to vdz, then vdaa and so on."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield prefix + "".join(letters)


def with_volume(world: World, disk: Disk, place: Place) -> Disk:
    """Return the disk with a volume as its source."""
    pool, volume = world.pool(place[0]), world.volume(place)
    found: Disk = disk.replace(
        source=pool.path_of(volume.name),
        format=volume.format,
        pool=pool.name,
        volume=volume.name,
        backing=volume.backing,
        size_bytes=volume.capacity,
        allocated_bytes=volume.allocated,
        encrypted=volume.encrypted,
    )
    return found


def sized(world: World, vm: SimVM) -> tuple[Disk, ...]:
    """Return a VM's disks with the current sizes of their volumes."""
    if vm.id not in world.vms:
        return vm.disks  # an initial VM
    return tuple(with_volume(world, disk, (disk.pool, disk.volume)) if disk.pool and disk.volume else disk for disk in vm.disks)


def image_place(world: World, source: str, pool: str) -> Place:
    """Return the volume for "image:NAME", "POOL/VOLUME" or a path. Raises ImageNotFoundError, InvalidSpecError for a URL."""
    refuse_url(source, pool)
    if source.startswith("/"):
        place = world.place_of(source)
        if place is not None:
            return place
    else:
        named, _, name = source.removeprefix("image:").rpartition("/")
        for suffix in _SUFFIXES:
            place = (named or pool, name + suffix)
            try:
                world.volume(place)
            except NotFoundError:
                continue
            return place
    raise ImageNotFoundError(f"no image {source!r}", resource=source, hint=f"`novacron volume list {pool}` lists the volumes")


def add_volume(world: World, pool: SimPool, volume: SimVolume, undo: ExitStack | None = None) -> Place:
    """Add a volume to a pool. Raises AlreadyExistsError, InvalidStateError, ResourceAllocationError (too little space)."""
    if taken_volume(world, pool, volume.name):
        raise AlreadyExistsError(
            f"a volume {volume.name!r} is already in the storage pool {pool.name!r}",
            resource=volume.name,
            hint="choose another name, or delete the existing volume",
        )
    pool.check(max(volume.capacity, volume.allocated))
    pool.volumes[volume.name] = volume
    if undo is not None:
        undo.callback(pool.volumes.pop, volume.name, None)
    return pool.name, volume.name


def taken_volume(world: World, pool: SimPool, name: str) -> bool:
    """Return whether a pool has a volume of that name."""
    if name in pool.volumes:
        return True
    number = world.filling.number(name) if pool.name == "default" and world.filling is not None else None
    return number is not None and world.filling is not None and world.filling.volume(number) == name


def remove_volume(world: World, place: Place) -> str | None:
    """Delete a volume; return its path, None if it does not exist."""
    pool = world.pools.get(place[0])
    if pool is None or pool.volumes.pop(place[1], None) is None:
        return None
    return pool.path_of(place[1])


def copied(volume: SimVolume, name: str, *, format: str | None = None, backing: str | None = None) -> SimVolume:
    """Return a copy of a volume under another name."""
    fixed = volume.fixed if backing is None else 0
    copy = SimVolume(name, volume.capacity, format or volume.format, backing=backing or volume.backing, fixed=fixed)
    copy.encrypted = volume.encrypted and backing is None
    if backing is None:
        copy.content = volume.content.copy()
    return copy


def _make_volume(world: World, name: str, spec: DiskSpec, undo: ExitStack) -> Place:
    pool = world.pool(spec.pool)
    name = spec.name or name
    if spec.source:
        place = image_place(world, spec.source, spec.pool)
        image = world.volume(place)
        _refuse_written(world, place, whole=spec.copy_mode == "full")
        backing = world.pool(place[0]).path_of(place[1]) if spec.copy_mode == "backing" else None
        volume = copied(image, name, format=spec.format, backing=backing)
        volume.capacity = spec.size_of_copy(image.capacity, name)
    else:
        volume = SimVolume(name, spec.size or 0, spec.format)
    volume.encrypted = bool(spec.encryption)
    if spec.preallocate:
        volume.fixed = volume.capacity
    return add_volume(world, pool, volume, undo)


__all__ = [
    "add_volume",
    "copied",
    "image_place",
    "make_disk",
    "refuse_users",
    "remove_volume",
    "sized",
    "taken_volume",
    "with_volume",
]
