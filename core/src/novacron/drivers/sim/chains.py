"""Making one volume of a disk's own and the one that it is backed by."""

from __future__ import annotations

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.devices import find_disk, replace_disk
from novacron.drivers.sim.disks import remove_volume, with_volume
from novacron.drivers.sim.machine import Place, SimVM
from novacron.drivers.sim.pools import SimVolume
from novacron.errors import DeviceNotFoundError, InvalidStateError
from novacron.jobs import Job
from novacron.records.disks import Disk

_STATES = ("running", "suspended", "stopped", "crashed")


class SimChains(Area):
    """Commits and pulls disks."""

    @simulated
    def disk_pull(self, vm: str, disk: str, job: Job[Disk]) -> Disk:
        """Let a disk be backed by nothing."""
        self._chained(vm, disk, "pull")
        self.checkpoint("disk_pull", vm, vm)
        job.raise_if_cancelled()
        with self.world.lock:
            found, old, volume = self._chained(vm, disk, "pull")
            if volume.backing and (below := self.world.place_of(volume.backing)):
                base = self.world.volume(below).content.copy()
                base.blocks |= volume.content.blocks
                base.length = max(base.length, volume.content.length)
                volume.content = base
            volume.backing = None
            return replace_disk(self.world, found, old, with_volume(self.world, old, (str(old.pool), str(old.volume))))

    @simulated
    def disk_commit(self, vm: str, disk: str, job: Job[Disk]) -> Disk:
        """Let the volume below have what a disk has, and be the disk."""
        self._base(*self._chained(vm, disk, "commit"))
        self.checkpoint("disk_commit", vm, vm)
        job.raise_if_cancelled()
        with self.world.lock:
            found, old, volume = self._chained(vm, disk, "commit")
            place, base = (str(old.pool), str(old.volume)), self._base(found, old, volume)
            below = self.world.volume(base)
            below.content.blocks |= volume.content.blocks
            below.content.length = max(below.content.length, volume.content.length)
            below.capacity = max(below.capacity, volume.capacity)
            record = replace_disk(self.world, found, old, with_volume(self.world, old, base))
            if place in found.made:
                found.made = found.made - {place}
                remove_volume(self.world, place)
            return record

    def _chained(self, vm: str, disk: str, verb: str) -> tuple[SimVM, Disk, SimVolume]:
        with self.world.lock:
            found = self.changing(vm, f"{verb} a disk of", *_STATES)
            old = find_disk(found, disk)
            if not (old.pool and old.volume):
                raise DeviceNotFoundError(f"{found.name!r} has no disk {disk!r} with a file of its own", resource=found.name)
            if found.snapshots:
                raise InvalidStateError(
                    f"can't {verb} a disk of {found.name!r}: it has snapshots, which are in its files", resource=found.name,
                    hint="delete the snapshots first",
                )  # fmt: skip
            return found, old, self.world.volume((old.pool, old.volume))

    def _base(self, vm: SimVM, disk: Disk, volume: SimVolume) -> Place:
        with self.world.lock:
            place = self.world.place_of(volume.backing) if volume.backing else None
            if place is None:
                raise InvalidStateError(
                    f"can't commit the disk {disk.target!r} of {vm.name!r}: there is nothing below it", resource=vm.name
                )
            own = (f"the VM {vm.name!r}", f"the volume {volume.name!r}")
            others = [user for user in self.world.users(place) if user not in own]
            if others:
                raise InvalidStateError(
                    f"can't commit the disk {disk.target!r} of {vm.name!r}: {', '.join(others)} would see the change", resource=vm.name,
                    hint="pull it instead: then it needs nobody",
                )  # fmt: skip
            return place


__all__ = ["SimChains"]
