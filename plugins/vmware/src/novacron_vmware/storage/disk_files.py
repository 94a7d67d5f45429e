"""Disks of a VM as files: new ones, those that are there, copies of images, and media in drives."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from novacron.errors import ImageNotFoundError, InvalidSpecError
from novacron.jobs import Job
from novacron_vmware.devices import BUSES, Adding, split_path
from novacron_vmware.gone import still_there
from novacron_vmware.placement import datastores, image_path
from novacron_vmware.sdk import vim
from novacron_vmware.storage.disk_users import chain, refuse_users
from novacron_vmware.undoing import undone_on_failure

if TYPE_CHECKING:
    from novacron.specs.disks import DiskSpec
    from novacron_vmware.connection import VMwareConnection

Disk = vim.vm.device.VirtualDisk


def disk_path(connection: VMwareConnection, source: str, pool: str, datacenter: Any) -> str:
    """Return the datastore path of a VMDK; its ending may be left out. Raises ImageNotFoundError, StoragePoolNotFoundError."""
    path = image_path(connection, source, pool, datacenter)
    return path if path.endswith(".vmdk") else path + ".vmdk"


def add_disk(connection: VMwareConnection, adding: Adding, name: str, spec: DiskSpec, datastore: str, datacenter: Any) -> None:
    """Add a disk whose file is there (`path`), or a new, blank one; without a name vSphere puts that into the VM's folder."""
    if spec.path:
        path = disk_path(connection, spec.path, spec.pool, datacenter)
        if not spec.shareable:
            refuse_users(connection, path, name, datacenter)
        _add(adding, spec, path, operation=None, size=None)
    else:
        path = f"[{datastore}] {spec.name.removesuffix('.vmdk')}.vmdk" if spec.name else f"[{datastore}]"
        _add(adding, spec, path, operation="create", size=spec.size or 0)


def _add(adding: Adding, spec: DiskSpec, path: str, *, operation: str | None, size: int | None) -> None:
    backing = Disk.FlatVer2BackingInfo(
        fileName=path,
        diskMode="persistent",
        thinProvisioned=None if operation is None else not spec.preallocate,
        sharing="sharingMultiWriter" if spec.shareable else None,
    )
    disk = Disk(backing=backing, capacityInKB=size // 1024 if size else 0)
    if spec.limits and spec.limits.total_iops is not None:
        disk.storageIOAllocation = vim.StorageResourceManager.IOAllocationInfo(limit=spec.limits.total_iops or -1)
    adding.place(disk, BUSES[spec.bus or "scsi"], spec.target)
    adding.add(disk, operation)


def drive(connection: VMwareConnection, adding: Adding, source: str, spec: DiskSpec | None, datacenter: Any) -> None:
    """Add a CD-ROM or floppy drive with a medium, or an empty one."""
    device = vim.vm.device
    floppy = spec is not None and spec.device == "floppy"
    connect = device.VirtualDevice.ConnectInfo(startConnected=bool(source), allowGuestControl=True, connected=bool(source))
    if floppy:
        made = device.VirtualFloppy(key=adding.next_key(), controllerKey=400, connectable=connect)
        made.backing = floppy_medium(connection, source, spec.pool if spec else "default", datacenter)
        adding.add(made)
        return
    made = device.VirtualCdrom(
        connectable=connect, backing=medium(connection, source, spec.pool if spec else "default", datacenter)
    )
    bus = BUSES[spec.bus] if spec and spec.bus in ("ide", "sata") else "ide"
    adding.place(made, bus, spec.target if spec else None)
    adding.add(made)


def medium(connection: VMwareConnection, source: str, pool: str, datacenter: Any) -> Any:
    """Return what is in a CD-ROM drive: an ISO image, or nothing."""
    if not source:
        return vim.vm.device.VirtualCdrom.RemotePassthroughBackingInfo(deviceName="", exclusive=False)
    return vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=image_path(connection, source, pool, datacenter))


def floppy_medium(connection: VMwareConnection, source: str, pool: str, datacenter: Any) -> Any:
    """Return what is in a floppy drive: an image, or nothing."""
    if not source:
        return vim.vm.device.VirtualFloppy.RemoteDeviceBackingInfo(deviceName="")
    return vim.vm.device.VirtualFloppy.ImageBackingInfo(fileName=image_path(connection, source, pool, datacenter))


def attach(
    connection: VMwareConnection, thing: Any, name: str, specs: Sequence[DiskSpec], datacenter: Any, job: Job[Any] | None = None
) -> None:
    """Give a VM more disks, in this order. An image is copied into the VM's folder first; a copy that is not attached is deleted."""
    stores = datastores(connection, {spec.pool for spec in specs}, datacenter) if specs else {}
    for number, spec in enumerate(specs):
        part = (0.3 + 0.5 * number / len(specs), 0.3 + 0.5 * (number + 1) / len(specs))
        devices = connection.read(thing, ["config.hardware.device"])["config.hardware.device"]
        adding = Adding(devices)
        if not spec.source:
            add_disk(connection, adding, name, spec, stores[spec.pool], datacenter)
            connection.wait(thing.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=adding.changes)), resource=name)
            continue
        if job is not None:
            job.report(f"copying {spec.source}", part[0])
        manager, target = (
            connection.content.virtualDiskManager,
            _copy_path(connection, thing, name, spec, stores[spec.pool], datacenter),
        )
        source = disk_path(connection, spec.source, spec.pool, datacenter)
        try:
            task = manager.CopyVirtualDisk_Task(source, datacenter, target, datacenter, None, False)
            connection.wait(task, resource=name, job=job, part=part)
        except ImageNotFoundError as error:  # vSphere may name the file of the copy
            raise ImageNotFoundError(
                f"no image {spec.source!r} (looked for {source})",
                resource=name,
                hint=f"`novacron volume list {stores[spec.pool]}` shows what is there",
            ) from error
        undo = functools.partial(_delete_unattached, connection, thing, name, target, datacenter)
        with undone_on_failure(name, f"the file {target!r}", undo):
            _add(adding, spec, target, operation=None, size=None)
            connection.wait(thing.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=adding.changes)), resource=name)
        if spec.size:
            grow(connection, thing, name, target, spec)


def _delete_unattached(connection: VMwareConnection, thing: Any, name: str, path: str, datacenter: Any) -> None:
    """Delete a copy that was to be attached to a VM. It is kept if the VM has it: a change may be made though its answer was lost."""
    devices = connection.read(thing, ["config.hardware.device"])["config.hardware.device"]
    if not any(path in chain(device) for device in devices):  # it is below the disk's own file once a snapshot was made
        connection.wait(connection.content.virtualDiskManager.DeleteVirtualDisk_Task(path, datacenter), resource=name)


def _copy_path(connection: VMwareConnection, thing: Any, name: str, spec: DiskSpec, store: str, datacenter: Any) -> str:
    """Return where the copy of an image goes; the folder is made when the datastore is not the VM's own."""
    read = connection.read(thing, ["config.hardware.device", "config.files.vmPathName"])
    if spec.name:
        return f"[{store}] {spec.name.removesuffix('.vmdk')}.vmdk"
    home = split_path(read["config.files.vmPathName"]) or ("", "")
    folder = home[1].rpartition("/")[0] or name
    if store != home[0]:
        make_folder(connection, f"[{store}] {folder}", datacenter)
    taken = {getattr(d.backing, "fileName", "") for d in read["config.hardware.device"] if d.backing}
    return next(path for n in itertools.count(1) if (path := f"[{store}] {folder}/{name}-image-{n}.vmdk") not in taken)


def grow(connection: VMwareConnection, thing: Any, name: str, path: str, spec: DiskSpec) -> None:
    """Enlarge the copy of an image, the disk of a VM, to the size of its spec. A disk that should be smaller than its image is removed.

    Raises:
        InvalidSpecError: the size is smaller than the image.
    """
    devices = connection.read(thing, ["config.hardware.device"])["config.hardware.device"]
    device = still_there(each for each in devices if isinstance(each, Disk) and each.backing.fileName == path)
    try:
        size = spec.size_of_copy(int(device.capacityInKB) * 1024, name) // 1024
    except InvalidSpecError:
        _change(connection, thing, name, device, operation="remove", fileOperation="destroy")
        raise
    device.capacityInKB, device.capacityInBytes = size, size * 1024
    _change(connection, thing, name, device, operation="edit")


def _change(connection: VMwareConnection, thing: Any, name: str, device: Any, **how: str) -> None:
    """Edit or remove a device of a VM."""
    change = vim.vm.device.VirtualDeviceSpec(device=device, **how)
    connection.wait(thing.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])), resource=name)


def make_folder(connection: VMwareConnection, path: str, datacenter: Any) -> None:
    """Make a folder in a datastore unless it is there."""
    with suppress(vim.fault.FileAlreadyExists):
        connection.content.fileManager.MakeDirectory(path, datacenter, True)


__all__ = ["add_disk", "attach", "disk_path", "drive", "floppy_medium", "grow", "make_folder", "medium"]
