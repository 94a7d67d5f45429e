"""Volumes and their content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.content import BLOCK, Content, data_ranges
from novacron.drivers.sim.state.disks import add_volume, copied, image_place, remove_volume
from novacron.drivers.sim.state.pools import SimPool, SimVolume
from novacron.drivers.sim.state.world import worlds_with
from novacron.errors import InvalidSpecError, InvalidStateError, ResourceAllocationError, SpecProblem
from novacron.jobs import Job
from novacron.records.vm import Deleted
from novacron.records.volumes import Volume
from novacron.units import exact_size

if TYPE_CHECKING:
    from novacron.specs.volumes import VolumeSpec

CHUNK = 64 * BLOCK
"""Bytes between two reports of an upload."""


class SimVolumes(Area):
    """Creates, lists, copies, uploads and deletes volumes."""

    @simulated
    def volume_list(self, pool: str) -> list[Volume]:
        """List a pool's volumes."""
        with self.world.lock:
            found = self.world.pool(pool)
            found.check()
            return [found.volume_record(volume, self.connection.name) for volume in found.all()]

    @simulated
    def volume_get(self, pool: str, volume: str) -> Volume:
        """Return one volume."""
        with self.world.lock:
            return self._record(*self._find(pool, volume))

    @simulated
    def volume_locked(self, pool: str, volume: str) -> bool:
        """Return whether an active VM of any simulated host with this pool may write to the volume."""
        with self.world.lock:
            found, held = self._find(pool, volume)
        return held.locked or any(
            (disk.pool, disk.volume) == (pool, held.name) and not disk.read_only
            for world in worlds_with(found)
            for vm in list(world.vms.values())
            if vm.active
            for disk in vm.disks
        )

    @simulated
    def volume_create(self, pool: str, spec: VolumeSpec, job: Job[Volume]) -> Volume:
        """Create a volume."""
        self.refuse_unknown_secrets(spec.encryption)
        with self.world.lock:
            parent = self.world.pool(pool)
            capacity, backing = spec.capacity or 0, None
            if spec.backing:
                below = image_place(self.world, spec.backing, pool)
                backing = self.world.pool(below[0]).path_of(below[1])
                capacity = capacity or self.world.volume(below).capacity
            made = SimVolume(spec.name, capacity, spec.format, backing=backing, fixed=capacity if spec.preallocate else 0)
            made.encrypted = bool(spec.encryption)
            return self._add(parent, made, job, "volume_create")

    @simulated
    def volume_resize(self, pool: str, volume: str, size: int, shrink: bool) -> Volume:
        """Change a volume's capacity."""
        with self.world.lock:
            parent, sim_volume = self._find(pool, volume)
            self._check_unused(parent, sim_volume, "resize")
            if size < sim_volume.capacity and not shrink:
                allowed = (
                    f"at least {exact_size(sim_volume.capacity)}; shrink=True (--shrink) allows less, and the data beyond is lost"
                )
                problem = SpecProblem("size", exact_size(size), allowed)
                raise InvalidSpecError(f"can't resize {volume!r}", problems=[problem], resource=volume)
            parent.check(max(0, size - sim_volume.capacity))
            sim_volume.capacity = size
            sim_volume.fixed = min(sim_volume.fixed, size)
            return self._record(parent, sim_volume)

    @simulated
    def volume_convert(self, pool: str, volume: str, name: str, format: str, job: Job[Volume]) -> Volume:
        """Copy a volume into another format."""
        with self.world.lock:
            parent, sim_volume = self._find(pool, volume)
            return self._add(parent, copied(sim_volume, name, format=format), job, "volume_convert")

    @simulated
    def volume_clone(self, pool: str, volume: str, name: str, job: Job[Volume]) -> Volume:
        """Copy a volume."""
        with self.world.lock:
            parent, sim_volume = self._find(pool, volume)
            return self._add(parent, copied(sim_volume, name), job, "volume_clone")

    @simulated
    def volume_wipe(self, pool: str, volume: str, job: Job[Volume]) -> Volume:
        """Discard the content."""
        with self.world.lock:
            parent, sim_volume = self._find(pool, volume)
            self._check_unused(parent, sim_volume, "wipe")
            job.report("wiping", 0.0)
            job.raise_if_cancelled()
            sim_volume.content = Content()
            job.report("done", 1.0)
            return self._record(parent, sim_volume)

    @simulated
    def volume_delete(self, pool: str, volume: str) -> Deleted:
        """Delete a volume that nothing uses."""
        with self.world.lock:
            parent, sim_volume = self._find(pool, volume)
            users = self.world.users((pool, volume))
            if users:
                raise InvalidStateError(
                    f"can't delete the volume {volume!r}: {', '.join(users)} uses it",
                    resource=volume,
                    hint="delete that first, or detach the disk",
                )
            remove_volume(self.world, (pool, volume))
            return Deleted(name=volume, removed=(parent.path_of(sim_volume.name),))

    @simulated
    def volume_upload(self, pool: str, volume: str, source: BinaryIO, job: Job[Volume]) -> Volume:
        """Read a file completely, then replace the content of the volume."""
        with self.world.lock:
            parent, sim_volume = self._find(pool, volume)
            self._check_unused(parent, sim_volume, "write to")
        content = _read(source, sim_volume, job)
        self.checkpoint("volume_upload", volume, job=job)
        with self.world.lock:
            parent.check(max(0, content.allocated - sim_volume.allocated))
            sim_volume.content = content
            job.report("done", 1.0, transferred_bytes=content.length)
            return self._record(parent, sim_volume)

    @simulated
    def volume_download(self, pool: str, volume: str, target: BinaryIO, job: Job[Volume]) -> Volume:
        """Write the content: the whole capacity of raw volumes, otherwise the uploaded bytes."""
        with self.world.lock:
            parent, sim_volume = self._find(pool, volume)
            content = sim_volume.content.copy()
            length = sim_volume.capacity if sim_volume.format == "raw" else content.length
        job.report("reading", 0.0, total_bytes=length)
        job.raise_if_cancelled()
        content.write_to(target, length)
        job.report("done", 1.0, transferred_bytes=length, total_bytes=length)
        with self.world.lock:
            return self._record(parent, sim_volume)

    def _find(self, pool: str, volume: str) -> tuple[SimPool, SimVolume]:
        parent = self.world.pool(pool)
        parent.check()
        return parent, self.world.volume((pool, volume))

    def _record(self, pool: SimPool, volume: SimVolume) -> Volume:
        return pool.volume_record(volume, self.connection.name)

    def _add(self, pool: SimPool, volume: SimVolume, job: Job[Any], operation: str) -> Volume:
        job.report("making the volume", 0.0)
        place = add_volume(self.world, pool, volume)
        try:
            self.checkpoint(operation, volume.name, job=job)
            job.raise_if_cancelled()
        except BaseException:
            remove_volume(self.world, place)
            raise
        job.report("done", 1.0)
        return self._record(pool, volume)

    def _check_unused(self, pool: SimPool, volume: SimVolume, action: str) -> None:
        for vm in self.world.vms.values():
            if vm.active and any((disk.pool, disk.volume) == (pool.name, volume.name) for disk in vm.disks):
                raise InvalidStateError(
                    f"can't {action} the volume {volume.name!r}: {vm.name!r} is {vm.status} and uses it",
                    resource=volume.name,
                    hint=f"stop {vm.name!r} first",
                )


def _read(source: BinaryIO, volume: SimVolume, job: Job[Any]) -> Content:
    content = Content()
    limit = volume.capacity
    ranges = data_ranges(source)
    start = source.tell() if ranges is not None else 0
    if ranges is not None:
        source.seek(0, 2)
        content.length = source.tell() - start
    for begin, end in ranges if ranges is not None else [(0, None)]:
        at = (begin - start) // BLOCK * BLOCK
        if ranges is not None:
            source.seek(start + at)
        while end is None or start + at < end:
            data = source.read(CHUNK)
            if not data:
                break
            content.write(at, data)
            at += len(data)
            job.report("writing", None, transferred_bytes=at)
            job.raise_if_cancelled()
            if at > limit:
                break
    if content.length > limit:
        raise ResourceAllocationError(
            f"the content is larger than the volume {volume.name!r}: it has {limit} bytes",
            resource=volume.name,
            hint="resize the volume first",
        )
    return content


__all__ = ["SimVolumes"]
