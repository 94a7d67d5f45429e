"""Disks and NICs of VMs: attaching, changing, detaching."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.disks import image_place, make_disk, remove_volume, with_volume
from novacron.drivers.sim.machine import SimVM
from novacron.drivers.sim.nics import make_nic
from novacron.drivers.sim.power import refuse_locked
from novacron.drivers.sim.world import World
from novacron.errors import AlreadyExistsError, DeviceNotFoundError, InvalidSpecError, InvalidStateError, SpecProblem
from novacron.records.disks import Disk
from novacron.records.nics import NIC
from novacron.records.vm import VM
from novacron.specs.network import NICSpec
from novacron.specs.storage import DiskLimits, DiskSpec

_STATES = ("running", "suspended", "stopped", "crashed")


class SimDisks(Area):
    """A VM's disks."""

    @simulated
    def disk_attach(self, vm: str, spec: DiskSpec) -> Disk:
        """Make the disk and plug it in; a failure leaves no volume."""
        with self.world.lock, ExitStack() as undo:
            found = self.changing(vm, "attach a disk to", *_STATES)
            taken = {disk.target for disk in found.disks}
            if spec.target in taken:
                raise AlreadyExistsError(f"{found.name!r} has a disk {spec.target!r} already", resource=found.name)
            disk, place = make_disk(self.world, found.name, spec, taken, undo)
            if found.active:
                refuse_locked(self.world, found, (disk,))
            undo.pop_all()
            found.disks += (disk,)
            found.made |= {place} if place else set()
            self.world.tell("vm.device", found, reason="attached", device=disk.target)
            return disk

    @simulated
    def disk_detach(self, vm: str, disk: str, delete: bool) -> VM:
        """Unplug a disk. A volume that is kept is the user's from then on, unless a snapshot needs it."""
        with self.world.lock:
            found = self.changing(vm, "detach a disk from", "running", "stopped", "crashed")
            going = find_disk(found, disk)
            place = (going.pool or "", going.volume or "")
            snapshots = [s.name for s in found.snapshots.values() if any((d.pool, d.volume) == place for d in s.disks)]
            rest = tuple(each for each in found.disks if each is not going)
            if delete and going.volume:
                others = [user for user in self.world.users(place) if user != f"the VM {found.name!r}"]
                others += [f"the snapshot {name!r}" for name in snapshots]
                if others:
                    raise InvalidStateError(
                        f"can't delete the volume of {disk!r}: {', '.join(others)} needs it", resource=found.name,
                        hint="detach it without deleting, or delete that first",
                    )  # fmt: skip
                remove_volume(self.world, place)
            found.disks = rest
            if not snapshots:
                found.made -= {place}
            self.world.tell("vm.device", found, reason="detached", device=disk)
            return self.record(found)

    @simulated
    def disk_resize(self, vm: str, disk: str, size: int) -> Disk:
        """Grow a disk."""
        with self.world.lock:
            found = self.changing(vm, "resize a disk of", *_STATES)
            old = find_disk(found, disk)
            if not (old.pool and old.volume):
                raise InvalidStateError(f"the drive {disk!r} of {found.name!r} is empty", resource=found.name)
            volume = self.world.volume((old.pool, old.volume))
            if size < volume.capacity:
                problem = SpecProblem("size", str(size), f"at least {volume.capacity} bytes: disks only grow")
                raise InvalidSpecError(f"can't resize {disk!r} of {found.name!r}", problems=[problem], resource=found.name)
            self.world.pool(old.pool).check(size - volume.capacity)
            volume.capacity = size
            return replace_disk(self.world, found, old, with_volume(self.world, old, (old.pool, old.volume)))

    @simulated
    def disk_limit(self, vm: str, disk: str, limits: DiskLimits) -> Disk:
        """Keep the limits; nothing here is fast enough to meet them."""
        with self.world.lock:
            found = self.changing(vm, "limit a disk of")
            old = find_disk(found, disk)
            found.native = {**found.native, "disk_limits": {**found.native.get("disk_limits", {}), disk: limits.as_dict()}}
            return replace_disk(self.world, found, old, old)

    @simulated
    def disk_change_media(self, vm: str, disk: str, source: str) -> Disk:
        """Put in another medium, or none."""
        with self.world.lock:
            found = self.changing(vm, "change a medium of", *_STATES)
            old = find_disk(found, disk)
            if old.device not in ("cdrom", "floppy"):
                problem = SpecProblem("disk", disk, "a CD-ROM or floppy drive of the VM")
                raise InvalidSpecError("no removable medium", problems=[problem], resource=found.name)
            empty = Disk(target=old.target, device=old.device, bus=old.bus, read_only=old.read_only, boot_order=old.boot_order)
            filled = with_volume(self.world, empty, image_place(self.world, source, "default")) if source else empty
            return replace_disk(self.world, found, old, filled)


class SimNICs(Area):
    """A VM's NICs."""

    @simulated
    def nic_attach(self, vm: str, spec: NICSpec) -> NIC:
        """Plug in a NIC."""
        with self.world.lock:
            found = self.changing(vm, "attach a NIC to", *_STATES)
            nic = make_nic(self.world, spec)
            if any(each.mac == nic.mac for each in found.nics):
                raise AlreadyExistsError(f"{found.name!r} has a NIC {nic.mac!r} already", resource=found.name)
            found.nics += (nic,)
            return self._changed(found, nic, "attached", spec)

    @simulated
    def nic_detach(self, vm: str, nic: str) -> VM:
        """Unplug a NIC."""
        with self.world.lock:
            found = self.changing(vm, "detach a NIC from", "running", "stopped", "crashed")
            going = self._find(found, nic)
            found.nics = tuple(each for each in found.nics if each is not going)
            found.filters.pop(going.mac, None)
            self.world.forget_leases((going,))
            self.world.tell("vm.device", found, reason="detached", device=going.mac)
            return self.record(found)

    @simulated
    def nic_update(self, vm: str, nic: str, spec: NICSpec) -> NIC:
        """Put another NIC with the same MAC address in its place."""
        with self.world.lock:
            found = self.changing(vm, "change a NIC of", *_STATES)
            old = self._find(found, nic)
            if spec.mac and spec.mac.lower() != old.mac:
                problem = SpecProblem("mac", spec.mac, f"{old.mac}, or nothing")
                raise InvalidSpecError("a NIC keeps its MAC address", problems=[problem], resource=found.name)
            new = make_nic(self.world, spec, old.mac)
            if new.network != old.network:
                self.world.forget_leases((old,))
            found.nics = tuple(new if each is old else each for each in found.nics)
            return self._changed(found, new, "changed", spec)

    @simulated
    def nic_link_set(self, vm: str, nic: str, up: bool) -> NIC:
        """Plug or unplug the cable."""
        with self.world.lock:
            found = self.changing(vm, "change a NIC of", *_STATES)
            old = self._find(found, nic)
            new: NIC = old.replace(link_up=up)
            found.nics = tuple(new if each is old else each for each in found.nics)
            return self._changed(found, new, "changed", None)

    def _find(self, vm: SimVM, mac: str) -> NIC:
        found = next((nic for nic in vm.nics if nic.mac == mac.lower()), None)
        if found is None:
            raise DeviceNotFoundError(
                f"{vm.name!r} has no NIC {mac!r}", resource=vm.name, hint=f"it has: {', '.join(n.mac for n in vm.nics) or 'none'}"
            )
        return found

    def _changed(self, vm: SimVM, nic: NIC, reason: str, spec: NICSpec | None) -> NIC:
        if spec is not None:
            vm.filters.pop(nic.mac, None)
            if spec.filter:
                vm.filters[nic.mac] = spec.filter
        data: dict[str, Any] = {"device": nic.mac}
        self.world.tell("vm.device", vm, reason=reason, **data)
        return nic


def find_disk(vm: SimVM, target: str) -> Disk:
    """Return a VM's disk. Raises DeviceNotFoundError."""
    found = next((disk for disk in vm.disks if disk.target == target), None)
    if found is None:
        raise DeviceNotFoundError(
            f"{vm.name!r} has no disk {target!r}",
            resource=vm.name,
            hint=f"it has: {', '.join(d.target for d in vm.disks) or 'none'}",
        )
    return found


def replace_disk(world: World, vm: SimVM, old: Disk, new: Disk) -> Disk:
    """Let a VM have another disk in the place of one, and tell."""
    vm.disks = tuple(new if disk is old else disk for disk in vm.disks)
    world.tell("vm.device", vm, reason="changed", device=new.target)
    return new


__all__ = ["SimDisks", "SimNICs", "find_disk", "replace_disk"]
