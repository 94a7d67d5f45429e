"""The initial VMs of a simulated host. They are generated from their number on demand, and stored only after a change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from novacron.drivers.sim.state.machine import Load, SimVM
from novacron.records.disks import Disk
from novacron.records.nics import NIC
from novacron.records.vm import Status

GIB = 1024**3
DISK_BYTES = 10 * GIB
ALLOCATED_BYTES = GIB
CREATED_AT = "2026-01-01T00:00:00+00:00"
_STATUSES: tuple[Status, ...] = ("running", "running", "running", "stopped")
_TAGS = (frozenset({"web"}), frozenset({"db"}), frozenset({"web", "prod"}), frozenset[str]())


class Filling:
    """`count` VMs, named by `prefix` and their number from 1 on. Those that were changed or deleted are in `gone`.

    Example:
        >>> filling = Filling("lab", 2, "vm-")
        >>> [filling.name(n) for n in filling], filling.number("vm-00002"), filling.number(filling.identity(1))
        (['vm-00001', 'vm-00002'], 2, 1)
    """

    __slots__ = ("_salt", "count", "gone", "prefix")

    def __init__(self, world: str, count: int, prefix: str) -> None:
        self.count, self.prefix = count, prefix
        self.gone: set[int] = set()
        digest = hashlib.sha256(world.encode()).hexdigest()
        self._salt = f"{digest[:8]}-{digest[8:12]}-4{digest[12:15]}-8{digest[15:18]}-"

    def __iter__(self) -> Iterator[int]:
        return (number for number in range(1, self.count + 1) if number not in self.gone)

    def __len__(self) -> int:
        return self.count - len(self.gone)

    def name(self, number: int) -> str:
        """Return a VM's name."""
        return f"{self.prefix}{number:05}"

    def identity(self, number: int) -> str:
        """Return a VM's UUID, which contains its number."""
        return f"{self._salt}{number:012x}"

    def load(self, number: int) -> Load:
        """Return what the metrics of a VM in its initial state depend on."""
        status, size = _STATUSES[number % 4], number % 3
        started = 0.0 if status == "running" else None
        return Load(self.identity(number), status, started, 1 << size, GIB << size, ("vda",), (self.mac(number),))

    def volume(self, number: int) -> str:
        """Return the name of a VM's volume."""
        return f"{self.name(number)}-vda.qcow2"

    def mac(self, number: int) -> str:
        """Return a VM's MAC address."""
        return f"52:54:{self._salt[:2]}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"

    def number(self, key: str) -> int | None:
        """Return the number of the VM with this UUID, name or volume; None if it does not exist (any more)."""
        if key.startswith(self._salt):
            digits, base = key[len(self._salt) :], 16
        elif key.startswith(self.prefix):
            digits, base = key[len(self.prefix) :].removesuffix("-vda.qcow2"), 10
        else:
            return None
        try:
            number = int(digits, base)
        except ValueError:
            return None
        exact = key in (self.identity(number), self.name(number), self.volume(number))
        return number if exact and 0 < number <= self.count and number not in self.gone else None

    def make(self, number: int) -> SimVM:
        """Return a VM in its initial state."""
        load = self.load(number)
        vm = SimVM(id=load.id, name=self.name(number), vcpus=load.vcpus, memory=load.memory, created_at=CREATED_AT)
        vm.status, vm.started = load.status, load.started
        vm.tags = _TAGS[number // 4 % 4]
        volume = self.volume(number)
        vm.disks = (
            Disk(
                target="vda",
                source=f"/sim/default/{volume}",
                bus="virtio",
                format="qcow2",
                pool="default",
                volume=volume,
                size_bytes=DISK_BYTES,
                allocated_bytes=ALLOCATED_BYTES,
            ),
        )
        vm.nics = (NIC(mac=load.nics[0], network="default", model="virtio"),)
        vm.made = frozenset({("default", volume)})
        return vm


__all__ = ["ALLOCATED_BYTES", "DISK_BYTES", "Filling"]
