"""Volumes: the VMDKs and other images in a datastore. A volume's name is its path there; a VMDK's ending may be left out.

The bytes of a volume that are uploaded or downloaded are a disk's raw content: those of the VMDK's extent ("NAME-flat.vmdk").
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, SpecProblem, VolumeNotFoundError
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.vm import Deleted
from novacron.records.volumes import Volume
from novacron.units import exact_size, format_size
from novacron_vmware.devices import DISK_MOST
from novacron_vmware.errors import translated
from novacron_vmware.placement import find_store
from novacron_vmware.sdk import vim
from novacron_vmware.storage.datastore_files import fetch, send
from novacron_vmware.storage.disk_users import users_of
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron.specs.volumes import VolumeSpec

Browser = vim.host.DatastoreBrowser
KINDS = {".vmdk": "vmdk", ".iso": "raw", ".img": "raw", ".flp": "raw", ".qcow2": "qcow2"}
"""Files that are volumes, and their formats; a VM's own files (configuration, swap, logs) are none."""


class VMwareVolumes(VMOperations):
    """Makes, copies and deletes volumes."""

    @hookimpl
    def volume_list(self, pool: str) -> list[Volume]:
        """Browse a datastore, folders included, in one task."""
        name, store = find_store(self._connection, pool)
        return sorted(self._search(store, name, recurse=True), key=lambda volume: volume.name)

    @hookimpl
    def volume_get(self, pool: str, volume: str) -> Volume:
        """Return one."""
        name, store = find_store(self._connection, pool)
        folder, _, file = volume.rpartition("/")
        found = self._search(store, name, recurse=False, folder=folder, pattern=(file, file + ".vmdk"))
        for each in found:
            if each.name in (volume, volume + ".vmdk"):
                return each
        raise VolumeNotFoundError(
            f"no volume {volume!r} in {pool!r}", resource=volume, hint=f"`novacron volume list {pool}` shows them"
        )

    @hookimpl
    def volume_create(self, pool: str, spec: VolumeSpec, job: Job[Volume]) -> Volume:
        """Create a blank VMDK. A name that ends in .iso, .img or .flp creates a raw file."""
        self._check(spec)
        self._refuse_taken(pool, spec.name)
        path, datacenter = self._place(pool, spec.name)
        if not path.endswith(".vmdk"):
            size = int(spec.capacity or 0)
            send(self._connection, path, self._connection.datacenter_of(datacenter), io.BytesIO(), size, job)
            return self._ended(pool, spec.name, job)
        made = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            diskType="preallocated" if spec.preallocate else "thin",
            adapterType="lsiLogic",
            capacityKb=-(-int(spec.capacity or 0) // 1024),
        )
        with translated(spec.name):
            self._connection.wait(self._manager.CreateVirtualDisk_Task(path, datacenter, made), resource=spec.name, job=job)
        return self._ended(pool, spec.name, job)

    def _check(self, spec: VolumeSpec) -> None:
        """Raise InvalidSpecError with each field that a volume of this name can't have."""
        kind = KINDS.get(os.path.splitext(spec.name)[1], "vmdk")
        problems = []
        if (spec.capacity or 0) > DISK_MOST:
            problems.append(SpecProblem("capacity", str(spec.capacity), f"at most {format_size(DISK_MOST)}"))
        if "format" in spec.model_fields_set and spec.format != kind:
            problems.append(SpecProblem("format", spec.format, f"{kind}, the format of {spec.name!r} in a datastore"))
        if kind != "vmdk" and spec.preallocate:
            problems.append(SpecProblem("preallocate", "True", "False: only a VMDK has it"))
        if problems:
            raise InvalidSpecError(f"vSphere can't create the volume {spec.name!r}", resource=spec.name, problems=problems)

    @hookimpl
    def volume_clone(self, pool: str, volume: str, name: str, job: Job[Volume]) -> Volume:
        """Copy a VMDK."""
        return self._copied(pool, volume, name, job)

    @hookimpl
    def volume_convert(self, pool: str, volume: str, name: str, format: str, job: Job[Volume]) -> Volume:
        """Copy a VMDK; there is no other format in a datastore."""
        if format != "vmdk":
            raise _bad(volume, "format", format, "vmdk")
        return self._copied(pool, volume, name, job)

    @hookimpl
    def volume_resize(self, pool: str, volume: str, size: int, shrink: bool) -> Volume:
        """Extend a VMDK; vSphere can't shrink one."""
        now = self.volume_get(pool, volume)
        if size > DISK_MOST:
            raise _bad(volume, "size", size, f"at most {format_size(DISK_MOST)}")
        if size < now.capacity_bytes:
            raise _bad(volume, "size", size, f"at least {exact_size(now.capacity_bytes)}: vSphere can't shrink a disk")
        path, datacenter = self._place(pool, now.name)
        with translated(volume):
            task = self._manager.ExtendVirtualDisk_Task(path, datacenter, -(-size // 1024), False)
            self._connection.wait(task, resource=volume)
        return self.volume_get(pool, volume)

    @hookimpl
    def volume_wipe(self, pool: str, volume: str, job: Job[Volume]) -> Volume:
        """Write zeros over all of a VMDK."""
        now = self._unused(pool, volume, "wipe")
        path, datacenter = self._place(pool, now.name)
        with translated(volume):
            self._connection.wait(self._manager.ZeroFillVirtualDisk_Task(path, datacenter), resource=volume, job=job)
        return self.volume_get(pool, volume)

    @hookimpl
    def volume_delete(self, pool: str, volume: str) -> Deleted:
        """Delete a volume that no VM has."""
        now = self._unused(pool, volume, "delete")
        path, datacenter = self._place(pool, now.name)
        with translated(volume):
            delete = self._manager.DeleteVirtualDisk_Task if now.format == "vmdk" else self._files.DeleteDatastoreFile_Task
            self._connection.wait(delete(path, datacenter), resource=volume)
        return Deleted(name=now.name, removed=(now.path,))

    @hookimpl
    def volume_upload(self, pool: str, volume: str, source: BinaryIO, job: Job[Volume]) -> Volume:
        """Write a volume's raw content; what the source is too short for is zero. A new ISO or image file is made."""
        try:
            now = self._unused(pool, volume, "write")
        except VolumeNotFoundError:
            if os.path.splitext(volume)[1] not in KINDS or volume.endswith(".vmdk"):
                raise
            now = None
        name, capacity = (now.name, now.capacity_bytes) if now else (volume, 0)
        begin = source.tell()
        size = source.seek(0, os.SEEK_END) - begin
        source.seek(begin)
        if now and now.format == "vmdk":
            if size > capacity:
                raise _bad(volume, "source", f"{size} bytes", f"at most the volume's capacity, {capacity} bytes")
            size = capacity
        path, datacenter = self._place(pool, name)
        send(self._connection, _extent(path), self._connection.datacenter_of(datacenter), source, size, job)
        return self.volume_get(pool, name)

    @hookimpl
    def volume_download(self, pool: str, volume: str, target: BinaryIO, job: Job[Volume]) -> Volume:
        """Write a volume's raw content to a file."""
        now = self.volume_get(pool, volume)
        path, datacenter = self._place(pool, now.name)
        most = max(now.capacity_bytes, now.allocated_bytes or 0)
        fetch(self._connection, _extent(path), self._connection.datacenter_of(datacenter), target, job, most=most)
        return now

    @property
    def _manager(self) -> Any:
        return self._connection.content.virtualDiskManager

    @property
    def _files(self) -> Any:
        return self._connection.content.fileManager

    def _search(self, store: Any, pool: str, *, recurse: bool, folder: str = "", pattern: tuple[str, ...] = ()) -> list[Volume]:
        query = [Browser.VmDiskQuery(details=Browser.VmDiskQuery.Details(capacityKb=True, diskType=True, thin=True))]
        spec = Browser.SearchSpec(
            query=[*query, Browser.IsoImageQuery(), Browser.FloppyImageQuery(), Browser.Query()],
            matchPattern=list(pattern) or ["*"],
            details=Browser.FileInfo.Details(fileSize=True, fileType=True, modification=False, fileOwner=False),
        )
        browser = self._connection.read(store, ["browser"])["browser"]
        where = f"[{pool}] {folder}".rstrip()
        with translated(pool):
            try:
                search = browser.SearchDatastoreSubFolders_Task if recurse else browser.SearchDatastore_Task
                found = self._connection.wait(search(where, spec), resource=pool)
            except VolumeNotFoundError:
                return []
        volumes = list[Volume]()
        for part in found if recurse else [found]:
            inside = part.folderPath.partition("]")[2].strip().strip("/")
            for file in part.file or ():
                name = f"{inside}/{file.path}" if inside else file.path
                kind = KINDS.get(os.path.splitext(name)[1])
                if kind and not name.endswith("-flat.vmdk"):
                    volumes.append(self._volume(pool, name, kind, file))
        return volumes

    def _volume(self, pool: str, name: str, kind: str, file: Any) -> Volume:
        size = int(getattr(file, "fileSize", 0) or 0)
        capacity = int(getattr(file, "capacityKb", 0) or 0) * 1024
        return Volume(
            name=name,
            pool=pool,
            host=self._connection.name,
            path=f"[{pool}] {name}",
            format=kind,
            capacity_bytes=capacity or size,
            allocated_bytes=size,
        )

    def _copied(self, pool: str, volume: str, name: str, job: Job[Volume]) -> Volume:
        now = self.volume_get(pool, volume)
        if now.format != "vmdk":
            raise _bad(volume, "volume", now.name, "a VMDK")
        self._refuse_taken(pool, name)
        path, datacenter = self._place(pool, now.name)
        target, _ = self._place(pool, name)
        with translated(volume):
            task = self._manager.CopyVirtualDisk_Task(path, datacenter, target, datacenter, None, False)
            self._connection.wait(task, resource=volume, job=job)
        return self._ended(pool, name, job)

    def _ended(self, pool: str, name: str, job: Job[Volume]) -> Volume:
        """Return a new volume, or delete it again when the job was cancelled."""
        try:
            job.raise_if_cancelled()
        except BaseException:
            self.volume_delete(pool, name)
            raise
        return self.volume_get(pool, name)

    def _place(self, pool: str, volume: str) -> tuple[str, Any]:
        """Return a volume's datastore path and the datacenter it is in."""
        name, store = find_store(self._connection, pool)
        ending = "" if os.path.splitext(volume)[1] in KINDS else ".vmdk"
        return f"[{name}] {volume}{ending}", self._connection.datacenter_thing(store)

    def _refuse_taken(self, pool: str, name: str) -> None:
        try:
            self.volume_get(pool, name)
        except VolumeNotFoundError:
            return
        raise AlreadyExistsError(
            f"a volume {name!r} is already in {pool!r}", resource=name, hint="give another name, or delete that one"
        )

    def _unused(self, pool: str, volume: str, verb: str) -> Volume:
        """Return a volume that no VM has. Raises InvalidStateError, VolumeNotFoundError."""
        now = self.volume_get(pool, volume)
        users = users_of(self._connection, now.path, self._place(pool, now.name)[1])
        if users:
            raise InvalidStateError(
                f"can't {verb} {now.path!r}: {', '.join(users)} uses it", resource=volume, hint="detach it, or delete the VM"
            )
        return now


def _extent(path: str) -> str:
    return path.removesuffix(".vmdk") + "-flat.vmdk" if path.endswith(".vmdk") else path


def _bad(volume: str, field: str, value: object, allowed: str) -> InvalidSpecError:
    return InvalidSpecError(
        f"can't change the volume {volume!r} so", resource=volume, problems=[SpecProblem(field, str(value), allowed)]
    )


__all__ = ["VMwareVolumes"]
