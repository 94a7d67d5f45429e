"""A VM's disks: attaching, detaching, growing, limiting, changing media."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import (
    AlreadyExistsError,
    DeviceNotFoundError,
    DriverError,
    InvalidSpecError,
    InvalidStateError,
    NotFoundError,
    SpecProblem,
    VolumeNotFoundError,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.disks import Disk
from novacron.records.vm import VM
from novacron.units import exact_size
from novacron_kvm.connection import KVMConnection
from novacron_kvm.definitions import changing
from novacron_kvm.domains.devices import plug, unplug, update
from novacron_kvm.domains.limits import disk_parameters
from novacron_kvm.domains.metadata import change_facts, facts_of, where
from novacron_kvm.domains.states import refuse_saved, refuse_suspended_since_migration
from novacron_kvm.errors import mapped, translated
from novacron_kvm.inventory.disk_sizes import sized
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.jobs.lost_answers import keep_if_done
from novacron_kvm.storage.busy_pools import refresh_if_free
from novacron_kvm.storage.chains import commit_disk, pull_disk
from novacron_kvm.storage.deletion_notes import spare
from novacron_kvm.storage.disk_users import refuse_disks_in_use, users_everywhere
from novacron_kvm.storage.held_files import destroying, holding
from novacron_kvm.storage.host_files import HostFiles, is_writable
from novacron_kvm.storage.luks import forget_secret
from novacron_kvm.storage.other_hosts import refuse_if_silent
from novacron_kvm.storage.volume_files import find_path, find_volume
from novacron_kvm.xml.parsing import parse, text_of
from novacron_kvm.xml.reading import disk as disk_record
from novacron_kvm.xml.reading import machine_of

if TYPE_CHECKING:
    from novacron.specs.disks import DiskLimits, DiskSpec
    from novacron_kvm.xml.facts import VMFacts


class KVMDisks:
    """Changes the disks of VMs, at once when they run, and persistently."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def disk_attach(self, vm: str, spec: DiskSpec) -> Disk:
        """Make the disk's file and plug it in; a failure leaves neither."""
        from novacron_kvm.domain_capabilities import refuse_buses
        from novacron_kvm.domains.disks import refuse_settings
        from novacron_kvm.storage.disk_files import make_disk
        from novacron_kvm.xml.devices.disk import disk_element, place
        from novacron_kvm.xml.platforms import platform

        with self._connection.dedicated() as conn, ExitStack() as held, ExitStack() as undo, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "attach a disk to")
            root = parse(domain.XMLDesc(0))
            taken = [d.target for d in map(disk_record, root.iterfind("devices/disk"))]
            if spec.target in taken:
                raise AlreadyExistsError(f"{domain.name()!r} has a disk {spec.target!r} already", resource=domain.name())
            ((bus, target),) = places = place([spec], platform(*machine_of(root)).buses, taken)
            if domain.isActive() and bus in ("ide", "sata", "fdc", "nvme"):
                raise InvalidStateError(
                    f"can't attach a disk of the bus {bus} to {domain.name()!r}: it is running",
                    resource=domain.name(),
                    hint="only virtio, scsi and usb disks can be plugged into a running VM; stop it, or take another bus",
                )
            refuse_buses(conn, root, places)
            refuse_settings([("", spec, bus)])
            file = make_disk(self._connection, conn, domain.name(), spec, bus, target, undo)
            element = disk_element(file)
            if not file.made:
                held.enter_context(holding(self._connection, [file.path] if file.path else ()))
                _take(conn, file.path)
                files = HostFiles(conn)
                _refuse_twice(files, domain, root, element)
                refuse_disks_in_use(self._connection, conn, domain.name(), [element], but=domain.UUIDString(), files=files)
            if bus == "scsi" and root.find("devices/controller[@type='scsi']") is None:
                from lxml import etree

                plug(domain, etree.Element("controller", type="scsi", model="virtio-scsi"))
            before = facts_of(domain)
            if file.path and (file.made or spec.encryption):
                own = before.with_files([file.path]) if file.made else before
                own = own.with_secret(file.path, spec.encryption) if spec.encryption else own
                change_facts(self._connection, domain, before, own)
                undo.callback(
                    self._connection.ensure_undone,
                    partial(self._restore_facts, domain.UUIDString(), own, before),
                    f"the note that {file.path} is a file of {domain.name()!r}",
                )
            plugged = partial(_is_plugged, target)
            undo.callback(keep_if_done, self._connection, undo, domain.UUIDString(), plugged, f"the file of the disk {target!r}")
            with changing(self._connection, domain):
                plug(domain, element)
            undo.pop_all()
            return self._record(domain, target)

    @hookimpl
    def disk_detach(self, vm: str, disk: str, delete: bool) -> VM:
        """Unplug a disk; its volume is deleted if that was asked, and otherwise the user's from then on."""
        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "detach a disk from")
            record = self._record(domain, disk)
            volume = self._volume_to_delete(conn, record) if delete else None
            with destroying(self._connection, conn, [volume.path()] if volume is not None else []):
                volume = self._volume_to_delete(conn, record) if delete else None  # it may be gone, or be deleted meanwhile
                if volume is not None:
                    self._refuse_needed(conn, domain, record, volume)
                unplug(domain, lambda root: _element(root, disk), f"the disk {disk!r}")
                if volume is not None:
                    _delete_if_there(volume)
            own = facts_of(domain)
            if record.source in own.secrets:
                forget_secret(conn, str(record.source))
            change_facts(self._connection, domain, own, own.without_files([record.source or ""]))
            return vm_record(self._connection, domain)

    @hookimpl
    def disk_resize(self, vm: str, disk: str, size: int) -> Disk:
        """Grow a disk."""
        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "resize a disk of")
            record = self._record(domain, disk)
            if not record.source:
                raise InvalidStateError(
                    f"the drive {disk!r} of {domain.name()!r} is empty", resource=domain.name(), hint="insert a medium first"
                )
            if size < (record.size_bytes or 1):
                problem = SpecProblem("size", exact_size(size), f"at least {exact_size(record.size_bytes)}: disks only grow")
                raise InvalidSpecError(f"can't resize {disk!r} of {domain.name()!r}", problems=[problem], resource=domain.name())
            if size > (record.size_bytes or 0):
                if domain.isActive():
                    refuse_suspended_since_migration(domain, f"resize {disk!r} of")
                    domain.blockResize(disk, size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
                else:
                    volume = self._volume(conn, record)
                    if volume is None:
                        raise InvalidStateError(
                            f"{record.source!r} is in no storage pool, or there is no such file",
                            resource=domain.name(),
                            hint="make a storage pool of its folder (`novacron pool create`); a running VM needs none",
                        )
                    volume.resize(size, 0)
            volume = find_path(conn, record.source)
            if volume is not None:
                refresh_if_free(volume.storagePoolLookupByVolume())
            return self._record(domain, disk)

    @hookimpl
    def disk_limit(self, vm: str, disk: str, limits: DiskLimits) -> Disk:
        """Set the limits that are given, 0 lifts one; the others stay."""
        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            self._record(domain, disk)
            now = domain.blockIoTune(disk, libvirt.VIR_DOMAIN_AFFECT_CURRENT)
            domain.setBlockIoTune(disk, disk_parameters(domain.name(), disk, now, limits), where(domain))
            return self._record(domain, disk)

    @hookimpl
    def disk_change_media(self, vm: str, disk: str, source: str) -> Disk:
        """Put another medium into a drive, or none."""
        from novacron_kvm.storage.disk_files import find_image
        from novacron_kvm.xml.devices.disk import set_medium

        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._connection.domain(vm, conn)
            refuse_saved(domain, "change a medium of")
            record = self._record(domain, disk)
            if record.device not in ("cdrom", "floppy"):
                problem = SpecProblem("disk", disk, "a CD-ROM or floppy drive of the VM")
                raise InvalidSpecError(
                    "no removable medium",
                    problems=[problem],
                    resource=domain.name(),
                    hint="`novacron vm show` lists the drives; a disk is replaced by attaching another one",
                )
            image = find_image(self._connection, conn, source, "default") if source else None

            path = image.path if image else None
            with holding(self._connection, [path] if path else []):
                _take(conn, path)
                update(domain, lambda root: _element(root, disk), lambda element: set_medium(element, path), force=True)
            record = self._record(domain, disk)
            if (record.source or None) != path:
                raise DriverError(
                    f"libvirt accepted {source!r}, but the drive {disk!r} of {domain.name()!r} holds {record.source or 'nothing'}",
                    resource=domain.name(),
                    hint="look at the drive in the VM's definition (`novacron vm export`)",
                )
            return record

    @hookimpl
    def disk_pull(self, vm: str, disk: str, job: Job[Disk]) -> Disk:
        """Copy what a disk's file is backed by into the file itself."""
        return pull_disk(self._connection, vm, disk, job)

    @hookimpl
    def disk_commit(self, vm: str, disk: str, job: Job[Disk]) -> Disk:
        """Write a disk's own file into its backing file, which the VM uses from then on."""
        return commit_disk(self._connection, vm, disk, job)

    def _restore_facts(self, vm: str, own: VMFacts, before: VMFacts, conn: Any) -> None:
        change_facts(self._connection, self._connection.domain(vm, conn), own, before)

    def _record(self, domain: Any, target: str) -> Disk:
        root = parse(domain.XMLDesc(0))
        element = _element(root, target)
        if element is None:
            there = ", ".join(d.target for d in map(disk_record, root.iterfind("devices/disk")))
            raise DeviceNotFoundError(
                f"{domain.name()!r} has no disk {target!r}", resource=domain.name(), hint=f"it has: {there or 'none'}"
            )
        return sized(self._connection, domain, disk_record(element))

    def _volume(self, conn: Any, record: Disk) -> Any | None:
        """Return the volume of a disk, None if no storage pool has its file.

        Raises:
            VolumeNotFoundError: the definition names a volume of a pool, which is gone.
            StoragePoolNotFoundError, InvalidStateError: that pool is gone, or stopped.
        """
        if record.volume:
            return find_volume(conn, str(record.pool), record.volume)
        return find_path(conn, record.source) if record.source else None

    def _volume_to_delete(self, conn: Any, record: Disk) -> Any | None:
        """Return the volume of a disk, None if there is nothing to delete. Raises NovaCronError if its pool can't tell."""
        try:
            return self._volume(conn, record)
        except VolumeNotFoundError:
            return None

    def _refuse_needed(self, conn: Any, domain: Any, record: Disk, volume: Any) -> None:
        users, silent = users_everywhere(self._connection, conn, volume.path(), but=domain.UUIDString())
        users += [f"the snapshot {name!r}" for name in domain.snapshotListNames()]
        if users:
            raise InvalidStateError(
                f"can't delete the volume of {record.target!r}: {', '.join(users)} needs it",
                resource=domain.name(),
                hint="detach it without deleting, or delete that first",
            )
        refuse_if_silent(domain.name(), f"delete the volume of {record.target!r} of {domain.name()!r}", silent)


def _is_plugged(target: str, domain: Any) -> bool:
    return any(text_of(e, "target/@dev") == target for e in parse(domain.XMLDesc(0)).iterfind("devices/disk"))


def _take(conn: Any, path: str | None) -> None:
    """Note that a VM begins to use a file that is held; refuse one that another process deleted after it was found."""
    if path and path.startswith("/"):
        volume = find_path(conn, path)
        if volume is None:
            raise VolumeNotFoundError(
                f"{path} was deleted by another client", resource=path, hint="`novacron volume list` shows what is there"
            )
        spare(conn, {path, str(volume.path())})


def _refuse_twice(files: HostFiles, domain: Any, root: Any, element: Any) -> None:
    """Refuse a file that is a disk of the VM already, unless both disks share it or only read it."""
    source = element.find("source")
    if source is None or not is_writable(element):
        return
    name, shared = files.name_of(source), element.find("shareable") is not None
    for disk in root.iterfind("devices/disk"):
        if not is_writable(disk) or disk.find("source") is None or (shared and disk.find("shareable") is not None):
            continue
        other = files.name_of(disk.find("source"))
        if name is not None and other is not None and files.is_same(name, other):
            raise InvalidStateError(
                f"{name} is the disk {text_of(disk, 'target/@dev')!r} of {domain.name()!r} already",
                resource=domain.name(),
                hint="attach another file",
            )


def _delete_if_there(volume: Any) -> None:
    try:
        volume.delete(0)
    except libvirt.libvirtError as error:
        if not isinstance(mapped(error), NotFoundError):
            raise


def _element(root: Any, target: str) -> Any:
    return next((e for e in root.iterfind("devices/disk") if text_of(e, "target/@dev") == target), None)


__all__ = ["KVMDisks"]
