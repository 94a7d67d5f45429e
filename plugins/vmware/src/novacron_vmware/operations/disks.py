"""A VM's disks: attached, detached, grown, limited, and media in drives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.plugins import hookimpl
from novacron.records.disks import Disk
from novacron.records.vm import VM
from novacron.units import exact_size, format_size
from novacron_vmware.devices import DISK_MOST, Adding, disk_records, find_disk, places, problems_of_disk
from novacron_vmware.errors import translated
from novacron_vmware.gone import still_there
from novacron_vmware.placement import DEFAULT, pool_of_vm
from novacron_vmware.reconfiguring import DEVICES, SameDevice, reconfigure_vm
from novacron_vmware.records import change_facts
from novacron_vmware.sdk import vim
from novacron_vmware.storage.disk_files import attach, disk_path, drive, floppy_medium, medium
from novacron_vmware.storage.disk_users import refuse_shared
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from collections.abc import Callable

    from novacron.specs.disks import DiskLimits, DiskSpec

Device = vim.vm.device


class VMwareDisks(VMOperations):
    """Changes disks and drives."""

    @hookimpl
    def disk_attach(self, vm: str, spec: DiskSpec) -> Disk:
        """Give a VM a disk or drive; a new disk's file is deleted again when that fails.

        The pool "default" is here the datastore of the VM's own files.
        """
        thing, record = self._changing(vm, "attach a disk to", "running", "suspended", "stopped", full=False)
        problems = list(problems_of_disk(spec))
        if problems:
            raise InvalidSpecError(f"vSphere can't give {record.name!r} that disk", resource=record.name, problems=problems)
        connection, datacenter = self._connection, self._connection.datacenter_thing(thing)
        before = dict(places(self._devices(thing)))
        with translated(record.name):
            spec = spec.model_copy(update={"pool": pool_of_vm(connection, thing, spec.pool, datacenter)})
            if spec.device == "disk":
                attach(connection, thing, record.name, [spec], datacenter)
            else:
                adding = Adding(self._devices(thing))
                drive(connection, adding, spec.path or spec.source or "", spec, datacenter)
                self._reconfigure(thing, record.name, deviceChange=adding.changes)
            devices = self._devices(thing)
            new = [(t, d) for t, d in places(devices) if t not in before]
            if spec.path and spec.device == "disk":
                path = disk_path(connection, spec.path, spec.pool, datacenter)
                new.sort(key=lambda each: _file(each[1]) != path)  # another client may have attached one too
            target, device = still_there(new)
            if spec.path and spec.device == "disk":
                self._keep(thing, record.name, device.backing.uuid)
        return still_there(d for d in disk_records(devices) if d.target == target)

    @hookimpl
    def disk_detach(self, vm: str, disk: str, delete: bool) -> VM:
        """Take a disk from a VM, and its file with it when asked."""
        thing, record = self._changing(vm, "detach a disk from", "running", "stopped", full=False)
        same = SameDevice(disk, record.name)

        def removal(read: dict[str, Any]) -> Any:
            device = same(find_disk(read.get(DEVICES) or (), disk, record.name))
            path = _file(device)
            destroy = "destroy" if delete and isinstance(device, Device.VirtualDisk) else None
            if destroy and path:
                hint = "detach it without deleting, or delete that VM first"
                refuse_shared(self._connection, thing, record.name, "delete a disk of", [path], hint)
            change = Device.VirtualDeviceSpec(operation="remove", fileOperation=destroy, device=device)
            return vim.vm.ConfigSpec(deviceChange=[change])

        with translated(record.name):
            reconfigure_vm(self._connection, thing, record.name, [DEVICES], removal)
        return self._read(thing)

    @hookimpl
    def disk_resize(self, vm: str, disk: str, size: int) -> Disk:
        """Grow a disk; the guest sees it at once."""
        thing, record = self._changing(vm, "resize a disk of", "running", "suspended", "stopped", full=False)
        if size > DISK_MOST:
            problem = SpecProblem("size", str(size), f"at most {format_size(DISK_MOST)}")
            raise InvalidSpecError(
                f"the disk {disk!r} of {record.name!r} can't be that large", resource=record.name, problems=[problem]
            )

        def grow(device: Any) -> None:
            now = int(device.capacityInBytes or device.capacityInKB * 1024)
            if size < now:
                problem = SpecProblem("size", exact_size(size), f"at least {exact_size(now)}: disks only grow")
                raise InvalidSpecError(
                    f"the disk {disk!r} of {record.name!r} can't shrink", resource=record.name, problems=[problem]
                )
            device.capacityInKB = -(-size // 1024)
            device.capacityInBytes = device.capacityInKB * 1024

        return self._edit(thing, record.name, disk, grow)

    @hookimpl
    def disk_limit(self, vm: str, disk: str, limits: DiskLimits) -> Disk:
        """Limit a disk's requests per second, of both directions together: the one limit that vSphere has."""
        thing, record = self._changing(vm, "limit a disk of", full=False)

        def limit(device: Any) -> None:
            if limits.total_iops is not None:
                device.storageIOAllocation = vim.StorageResourceManager.IOAllocationInfo(limit=limits.total_iops or -1)

        return self._edit(thing, record.name, disk, limit)

    @hookimpl
    def disk_change_media(self, vm: str, disk: str, source: str) -> Disk:
        """Put another image into a drive, or none."""
        thing, record = self._changing(vm, "change a medium of", "running", "suspended", "stopped", full=False)
        device = find_disk(self._devices(thing), disk, record.name)
        if isinstance(device, Device.VirtualDisk):
            problem = SpecProblem("disk", disk, "a CD-ROM or floppy drive")
            raise InvalidSpecError(f"{disk!r} of {record.name!r} is no drive", resource=record.name, problems=[problem])
        make = medium if isinstance(device, Device.VirtualCdrom) else floppy_medium
        datacenter = self._connection.datacenter_thing(thing)
        backing = make(self._connection, source, pool_of_vm(self._connection, thing, DEFAULT, datacenter), datacenter)

        def insert(device: Any) -> None:
            device.backing = backing
            device.connectable = Device.VirtualDevice.ConnectInfo(
                startConnected=bool(source), allowGuestControl=True, connected=bool(source) and record.status == "running"
            )

        return self._edit(thing, record.name, disk, insert, drive=True)

    def _edit(self, thing: Any, name: str, disk: str, change: Callable[[Any], None], *, drive: bool = False) -> Disk:
        same = SameDevice(disk, name)

        def changed(devices: Any) -> Any:
            device = same(find_disk(devices, disk, name))
            if isinstance(device, Device.VirtualDisk) == drive:
                problem = SpecProblem("disk", disk, "a CD-ROM or floppy drive" if drive else "a disk")
                raise InvalidSpecError(
                    f"{disk!r} of {name!r} is {'no' if drive else 'a'} drive", resource=name, problems=[problem]
                )
            change(device)
            return device

        self._edit_device(thing, name, changed)
        return still_there(d for d in disk_records(self._devices(thing)) if d.target == disk)

    def _keep(self, thing: Any, name: str, identity: str) -> None:
        """Remember that a disk was there before the VM: it stays when the VM is deleted."""

        def kept(facts: dict[str, Any]) -> dict[str, Any]:
            return facts | {"kept_disks": sorted({*facts.get("kept_disks", ()), identity})}

        change_facts(self._connection, thing, name, kept)


def _file(device: Any) -> str | None:
    return getattr(device.backing, "fileName", None)


__all__ = ["VMwareDisks"]
