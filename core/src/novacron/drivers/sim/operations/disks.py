"""Disks of VMs: attach, change, detach, pull and commit."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.operations.power import refuse_locked
from novacron.drivers.sim.state.disks import image_place, make_disk, remove_volume, with_volume
from novacron.drivers.sim.state.hardware import settings
from novacron.drivers.sim.state.machine import Place, SimVM
from novacron.drivers.sim.state.pools import SimVolume
from novacron.drivers.sim.state.world import World
from novacron.errors import AlreadyExistsError, DeviceNotFoundError, InvalidSpecError, InvalidStateError, SpecProblem
from novacron.jobs import Job
from novacron.records.disks import Disk
from novacron.records.vm import VM
from novacron.units import exact_size

if TYPE_CHECKING:
    from novacron.specs.disks import DiskLimits, DiskSpec

_STATES = ("running", "suspended", "stopped", "crashed")


class SimDisks(Area):
    """A VM's disks."""

    @simulated
    def disk_attach(self, vm: str, spec: DiskSpec) -> Disk:
        """Create the disk and attach it. On failure no volume remains."""
        self.refuse_unknown_secrets(spec.encryption)
        with self.world.lock, ExitStack() as undo:
            sim_vm = self.changing(vm, "attach a disk to", *_STATES)
            taken = {disk.target for disk in sim_vm.disks}
            if spec.target in taken:
                raise AlreadyExistsError(f"{sim_vm.name!r} has a disk {spec.target!r} already", resource=sim_vm.name)
            disk, place = make_disk(self.world, sim_vm.name, spec, taken, undo)
            if sim_vm.active:
                refuse_locked(self.world, sim_vm, (disk,))
            undo.pop_all()
            sim_vm.disks += (disk,)
            sim_vm.options |= {disk.target: settings(spec)} if settings(spec) else {}
            sim_vm.made |= {place} if place else set()
            self.world.tell("vm.device", sim_vm, reason="attached", device=disk.target)
            return disk

    @simulated
    def disk_detach(self, vm: str, disk: str, delete: bool) -> VM:
        """Detach a disk. A kept volume belongs to the user afterwards, unless a snapshot needs it."""
        with self.world.lock:
            sim_vm = self.changing(vm, "detach a disk from", "running", "stopped", "crashed")
            going = find_disk(sim_vm, disk)
            place = (going.pool or "", going.volume or "")
            snapshots = [s.name for s in sim_vm.snapshots.values() if any((d.pool, d.volume) == place for d in s.disks)]
            rest = tuple(each for each in sim_vm.disks if each is not going)
            if delete and going.volume:
                others = [user for user in self.world.users(place) if user != f"the VM {sim_vm.name!r}"]
                others += [f"the snapshot {name!r}" for name in snapshots]
                if others:
                    raise InvalidStateError(
                        f"can't delete the volume of {disk!r}: {', '.join(others)} needs it",
                        resource=sim_vm.name,
                        hint="detach it without deleting, or delete that first",
                    )
                remove_volume(self.world, place)
            sim_vm.disks = rest
            sim_vm.options.pop(disk, None)
            if not snapshots:
                sim_vm.made -= {place}
            self.world.tell("vm.device", sim_vm, reason="detached", device=disk)
            return self.record(sim_vm)

    @simulated
    def disk_resize(self, vm: str, disk: str, size: int) -> Disk:
        """Grow a disk."""
        with self.world.lock:
            sim_vm = self.changing(vm, "resize a disk of", *_STATES)
            old = find_disk(sim_vm, disk)
            if not (old.pool and old.volume):
                raise InvalidStateError(f"the drive {disk!r} of {sim_vm.name!r} is empty", resource=sim_vm.name)
            volume = self.world.volume((old.pool, old.volume))
            if size < volume.capacity:
                problem = SpecProblem("size", exact_size(size), f"at least {exact_size(volume.capacity)}: disks only grow")
                raise InvalidSpecError(f"can't resize {disk!r} of {sim_vm.name!r}", problems=[problem], resource=sim_vm.name)
            self.world.pool(old.pool).check(size - volume.capacity)
            volume.capacity = size
            return replace_disk(self.world, sim_vm, old, with_volume(self.world, old, (old.pool, old.volume)))

    @simulated
    def disk_limit(self, vm: str, disk: str, limits: DiskLimits) -> Disk:
        """Store the limits. They have no effect, because there is no real I/O."""
        with self.world.lock:
            sim_vm = self.changing(vm, "limit a disk of")
            old = find_disk(sim_vm, disk)
            kept = sim_vm.options.setdefault(disk, {})
            given = limits.model_dump(mode="json", exclude_unset=True)
            kept["limits"] = {**(kept.get("limits") or {}), **given}
            return replace_disk(self.world, sim_vm, old, old)

    @simulated
    def disk_change_media(self, vm: str, disk: str, source: str) -> Disk:
        """Insert another medium, or eject it."""
        with self.world.lock:
            sim_vm = self.changing(vm, "change a medium of", *_STATES)
            old = find_disk(sim_vm, disk)
            if old.device not in ("cdrom", "floppy"):
                problem = SpecProblem("disk", disk, "a CD-ROM or floppy drive of the VM")
                raise InvalidSpecError(
                    "no removable medium",
                    problems=[problem],
                    resource=sim_vm.name,
                    hint="`novacron vm show` lists the drives; a disk is replaced by attaching another one",
                )
            empty = Disk(target=old.target, device=old.device, bus=old.bus, read_only=old.read_only, boot_order=old.boot_order)
            filled = with_volume(self.world, empty, image_place(self.world, source, "default")) if source else empty
            return replace_disk(self.world, sim_vm, old, filled)

    @simulated
    def disk_pull(self, vm: str, disk: str, job: Job[Disk]) -> Disk:
        """Remove the backing file of a disk."""
        self._chained(vm, disk, "pull")
        self.checkpoint("disk_pull", vm, vm, job=job)
        job.raise_if_cancelled()
        with self.world.lock:
            sim_vm, old, volume = self._chained(vm, disk, "pull")
            if volume.backing and (below := self.world.place_of(volume.backing)):
                base = self.world.volume(below).content.copy()
                base.blocks |= volume.content.blocks
                base.length = max(base.length, volume.content.length)
                volume.content = base
            volume.backing = None
            return replace_disk(self.world, sim_vm, old, with_volume(self.world, old, (str(old.pool), str(old.volume))))

    @simulated
    def disk_commit(self, vm: str, disk: str, job: Job[Disk]) -> Disk:
        """Commit the disk's content into its backing file, which becomes the disk's file."""
        self._below(*self._chained(vm, disk, "commit"))
        self.checkpoint("disk_commit", vm, vm, job=job)
        job.raise_if_cancelled()
        with self.world.lock:
            sim_vm, old, volume = self._chained(vm, disk, "commit")
            place, base = (str(old.pool), str(old.volume)), self._below(sim_vm, old, volume)
            below = self.world.volume(base)
            below.content.blocks |= volume.content.blocks
            below.content.length = max(below.content.length, volume.content.length)
            below.capacity = max(below.capacity, volume.capacity)
            record = replace_disk(self.world, sim_vm, old, with_volume(self.world, old, base))
            if place in sim_vm.made:
                sim_vm.made = sim_vm.made - {place}
                remove_volume(self.world, place)
            return record

    def _chained(self, vm: str, disk: str, verb: str) -> tuple[SimVM, Disk, SimVolume]:
        with self.world.lock:
            sim_vm = self.changing(vm, f"{verb} a disk of", *_STATES)
            old = find_disk(sim_vm, disk)
            if not (old.pool and old.volume):
                raise DeviceNotFoundError(f"{sim_vm.name!r} has no disk {disk!r} with a file of its own", resource=sim_vm.name)
            if sim_vm.snapshots:
                raise InvalidStateError(
                    f"can't {verb} a disk of {sim_vm.name!r}: it has snapshots, which are stored in its files",
                    resource=sim_vm.name,
                    hint="delete the snapshots first",
                )
            return sim_vm, old, self.world.volume((old.pool, old.volume))

    def _below(self, vm: SimVM, disk: Disk, volume: SimVolume) -> Place:
        with self.world.lock:
            place = self.world.place_of(volume.backing) if volume.backing else None
            if place is None:
                raise InvalidStateError(
                    f"can't commit the disk {disk.target!r} of {vm.name!r}: there is nothing below it",
                    resource=vm.name,
                    hint="only a disk with a backing file can be committed; `novacron volume list` shows them",
                )
            own = (f"the VM {vm.name!r}", f"the volume {volume.name!r}")
            others = [user for user in self.world.users(place) if user not in own]
            if others:
                raise InvalidStateError(
                    f"can't commit the disk {disk.target!r} of {vm.name!r}: {', '.join(others)} would see the change",
                    resource=vm.name,
                    hint="pull it instead: then it has no backing file",
                )
            return place


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
    """Replace a disk of a VM by another one, and send an event."""
    vm.disks = tuple(new if disk is old else disk for disk in vm.disks)
    world.tell("vm.device", vm, reason="changed", device=new.target)
    return new


__all__ = ["SimDisks"]
