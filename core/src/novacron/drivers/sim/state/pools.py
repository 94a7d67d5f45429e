"""Simulated storage: pools of volumes whose content is in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.drivers.sim.state.content import Content
from novacron.drivers.sim.state.filling import ALLOCATED_BYTES, DISK_BYTES
from novacron.errors import InvalidStateError, ResourceAllocationError
from novacron.records.pools import StoragePool
from novacron.records.volumes import Volume

if TYPE_CHECKING:
    from novacron.drivers.sim.state.filling import Filling

TIB = 1024**4


class SimVolume:
    """A volume. `fixed` is the minimum of allocated bytes: its capacity if it is preallocated. `encrypted` is a label only.

    A test sets `locked` as if a machine that is not simulated held the lock of the file.
    """

    __slots__ = ("backing", "capacity", "content", "encrypted", "fixed", "format", "locked", "name")

    def __init__(self, name: str, capacity: int, format: str, *, backing: str | None = None, fixed: int = 0) -> None:
        self.name, self.capacity, self.format, self.backing, self.fixed = name, capacity, format, backing, fixed
        self.content, self.encrypted, self.locked = Content(), False, False

    @property
    def allocated(self) -> int:
        """The bytes that it uses in its pool."""
        return max(self.fixed, self.content.allocated)


class SimPool:
    """A storage pool with thin volumes. A volume that is larger than the free space is rejected.

    `capacity_bytes` can be set, to test a full pool.
    """

    __slots__ = ("_filling", "active", "autostart", "capacity_bytes", "id", "name", "path", "source", "type", "volumes")

    def __init__(self, name: str, type: str, path: str, identity: str, *, source: str | None = None) -> None:
        self.name, self.type, self.path, self.id, self.source = name, type, path, identity, source
        self.active = True
        self.autostart = True
        self.capacity_bytes = 16 * TIB
        self.volumes: dict[str, SimVolume] = {}
        self._filling: Filling | None = None

    def fill(self, filling: Filling) -> None:
        """Add the volumes of these VMs."""
        self._filling = filling
        self.capacity_bytes = max(self.capacity_bytes, 2 * filling.count * DISK_BYTES)

    @property
    def allocated_bytes(self) -> int:
        """The bytes used by all volumes."""
        untouched = len(self._filling) * ALLOCATED_BYTES if self._filling is not None else 0
        return untouched + sum(volume.allocated for volume in self.volumes.values())

    def path_of(self, volume: str) -> str:
        """Return a volume's path."""
        return f"{self.path}/{volume}"

    def all(self) -> list[SimVolume]:
        """Return all volumes, sorted by name."""
        untouched = []
        if self._filling is not None:
            untouched = [original_volume(self._filling.volume(number)) for number in self._filling]
        return sorted([*self.volumes.values(), *untouched], key=lambda volume: volume.name)

    def check(self, size: int = 0) -> None:
        """Raise an error if the pool is not active or has no space for `size` more bytes.

        Raises:
            InvalidStateError, ResourceAllocationError
        """
        if not self.active:
            raise InvalidStateError(f"the storage pool {self.name!r} is not active", resource=self.name, hint="start it first")
        free = self.capacity_bytes - self.allocated_bytes
        if size > free:
            raise ResourceAllocationError(
                f"the storage pool {self.name!r} has {free} bytes left, {size} are needed",
                resource=self.name,
                hint="delete volumes, or use another storage pool",
            )

    def record(self, host: str) -> StoragePool:
        """Return the record."""
        allocated = self.allocated_bytes
        return StoragePool(
            name=self.name,
            host=host,
            type=self.type,
            active=self.active,
            autostart=self.autostart,
            id=self.id,
            path=self.path,
            capacity_bytes=self.capacity_bytes,
            allocated_bytes=allocated,
            available_bytes=max(0, self.capacity_bytes - allocated),
            source=self.source,
        )

    def volume_record(self, volume: SimVolume, host: str) -> Volume:
        """Return the record of a volume."""
        return Volume(
            name=volume.name,
            pool=self.name,
            host=host,
            path=self.path_of(volume.name),
            format=volume.format,
            capacity_bytes=volume.capacity,
            allocated_bytes=volume.allocated,
            backing=volume.backing,
            encrypted=volume.encrypted,
        )


def original_volume(name: str) -> SimVolume:
    """Return the volume of an initial VM."""
    return SimVolume(name, DISK_BYTES, "qcow2", fixed=ALLOCATED_BYTES)


__all__ = ["SimPool", "SimVolume", "original_volume"]
