"""The state of a simulated host, shared by all connections to it."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from novacron.drivers.sim.state.broadcast import Broadcast, Courier, now
from novacron.drivers.sim.state.faults import Faults
from novacron.drivers.sim.state.filling import Filling
from novacron.drivers.sim.state.machine import Load, Place, SimVM
from novacron.drivers.sim.state.networks import SimNetwork
from novacron.drivers.sim.state.pools import SimPool, SimVolume, original_volume
from novacron.errors import StoragePoolNotFoundError, VMNotFoundError, VolumeNotFoundError
from novacron.records.events import Event
from novacron.records.host import Expiration
from novacron.records.nics import NIC
from novacron.records.questions import Question
from novacron.records.vm import Status

VERSION = "1.0"
CPU_MODELS = ("sim-1", "sim-2", "sim-3")
"""The simulated CPU models. Each has all features of those before."""
GIB = 1024**3
DEVICES: tuple[dict[str, Any], ...] = (
    {"kind": "pci", "address": "0000:03:00.0", "id": "10de:1eb8", "vendor": "Sim", "product": "Graphics card", "iommu_group": 1},
    {
        "kind": "pci",
        "address": "0000:03:00.1",
        "id": "10de:10f8",
        "vendor": "Sim",
        "product": "Audio controller",
        "iommu_group": 1,
    },
    {"kind": "pci", "address": "0000:04:00.0", "id": "8086:10fb", "vendor": "Sim", "product": "Network card", "iommu_group": 2},
    {"kind": "usb", "address": "001:004", "id": "046d:c52b", "vendor": "Sim", "product": "Receiver"},
    {"kind": "usb", "address": "001:005", "id": "0951:1666", "vendor": "Sim", "product": "Memory stick"},
)
"""The PCI and USB devices that each host has at first."""


class World:
    """One simulated host. Tests change its attributes to prepare a situation; every use of them holds `lock`.

    Attributes:
        faults: injected faults.
        questions: the question that a VM waits for, by the VM's id.
        pools: storage pools by name; `pools["default"].capacity_bytes` can be set.
        cpus, memory_bytes: the size of the host. All VMs together may have more memory, a single VM may not.
        architectures: machine types by architecture.
        lock_manager: "virtlockd", "sanlock" or "none".
        cpu_model: "sim-1", "sim-2" or "sim-3"; each has all features of those before.
        balanced_by, restarted_by: what moves and restarts the VMs of the host by itself.
    """

    def __init__(self, name: str, courier: Courier, seed: str = "0") -> None:
        self.name = name
        self.lock = threading.RLock()
        self.random = random.Random(f"{name}:{seed}")  # noqa: S311 - names, no secrets
        self.faults = Faults(f"{name}:{seed}")
        self.broadcast = Broadcast(courier)
        self.vms: dict[str, SimVM] = {}
        self._ids: dict[str, str] = {}
        self.filling: Filling | None = None
        self.pools = {"default": SimPool("default", "dir", "/sim/default", self.new_id())}
        self.networks = {"default": SimNetwork("default", self.new_id(), bridge="virbr0", cidr="192.168.122.1/24")}
        self.filters: dict[str, Any] = {}
        self.templates: dict[str, list[Any]] = {}
        self.folders: dict[str, dict[str, SimVolume]] = {}
        self.consoles: dict[str, Any] = {}
        self.questions: dict[str, Question] = {}
        self.devices: list[dict[str, Any]] = [dict(device) for device in DEVICES]
        self.cpus = 64
        self.memory_bytes = 256 * GIB
        self.architectures = {"x86_64": ("pc", "q35"), "aarch64": ("virt",)}
        self.cpu_model, self.lock_manager = "sim-3", "virtlockd"
        self.balanced_by: str | None = None
        self.restarted_by: str | None = None
        self.began = time.monotonic()
        self.clock_offset = 0.0
        self.expirations: list[Expiration] = []
        self._occupied: Counter[str] = Counter()
        self._settled = threading.Condition(self.lock)

    def __repr__(self) -> str:
        return f"<World {self.name} with {self.count()} VMs>"

    # names

    def new_id(self) -> str:
        """Return a new UUID. The sequence depends only on the seed."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def new_mac(self) -> str:
        """Return a new MAC address."""
        number = self.random.getrandbits(24)
        return f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"

    def fill(self, count: int, prefix: str = "vm-") -> None:
        """Create `count` initial VMs. Does nothing if the host already has some."""
        with self.lock:
            if self.filling is None and count:
                self.filling = Filling(self.name, count, prefix)
                self.pools["default"].fill(self.filling)

    # VMs

    def count(self) -> int:
        """Return the number of VMs."""
        return len(self.vms) + (len(self.filling) if self.filling is not None else 0)

    def all(self) -> Iterator[SimVM]:
        """Yield all VMs. Unchanged initial VMs are temporary copies."""
        yield from list(self.vms.values())
        if self.filling is not None:
            for number in list(self.filling):
                yield self.filling.make(number)

    def loads(self) -> Iterator[Load]:
        """Yield what the metrics of active VMs depend on."""
        yield from [vm.load() for vm in self.vms.values() if vm.active]
        if self.filling is not None:
            yield from filter(attrgetter("active"), map(self.filling.load, list(self.filling)))

    def look(self, key: str) -> SimVM | None:
        """Return the VM with this UUID or name, for reading only; None if it does not exist."""
        vm = self.vms.get(key) or self.vms.get(self._ids.get(key, ""))
        if vm is not None:
            return vm
        number = self._number(key)
        return self.filling.make(number) if self.filling is not None and number else None

    def find(self, key: str) -> SimVM:
        """Return the VM with this UUID or name, to be changed.

        Raises:
            VMNotFoundError: it does not exist.
        """
        vm = self.vms.get(key) or self.vms.get(self._ids.get(key, ""))
        if vm is not None:
            return vm
        number = self._number(key)
        if self.filling is None or not number:
            raise VMNotFoundError(f"no VM {key!r}", resource=key)
        vm = self.filling.make(number)
        self.filling.gone.add(number)
        self.pools["default"].volumes[self.filling.volume(number)] = original_volume(self.filling.volume(number))
        self.add(vm)
        return vm

    @contextmanager
    def occupied(self, key: str | None) -> Iterator[None]:
        """Mark a VM as busy while an operation changes it. None marks nothing."""
        vm = self.look(key) if key is not None else None
        if vm is None:
            yield
            return
        with self.lock:
            self._occupied[vm.id] += 1
        try:
            yield
        finally:
            with self._settled:
                self._occupied[vm.id] -= 1
                if not self._occupied[vm.id]:
                    del self._occupied[vm.id]
                    self._settled.notify_all()

    def settle(self, vm_id: str, seconds: float) -> bool:
        """Wait up to `seconds` until no operation changes a VM; return whether that is the case."""
        with self._settled:
            return self._settled.wait_for(lambda: vm_id not in self._occupied, seconds)

    def _number(self, key: str) -> int | None:
        if self.filling is None or key.endswith("-vda.qcow2"):
            return None
        return self.filling.number(key)

    def add(self, vm: SimVM) -> None:
        """Add a VM."""
        self.vms[vm.id] = vm
        self._ids[vm.name] = vm.id

    def drop(self, vm: SimVM) -> None:
        """Remove a VM."""
        del self.vms[vm.id]
        del self._ids[vm.name]
        self.forget_leases(vm.nics)
        console = self.consoles.pop(vm.id, None)
        if console is not None:
            console.close()

    def forget_leases(self, nics: Iterable[NIC]) -> None:
        """Release the addresses of these NICs."""
        for nic in nics:
            for network in self.networks.values():
                network.forget(nic.mac)

    def rename(self, vm: SimVM, name: str) -> None:
        """Rename a VM."""
        del self._ids[vm.name]
        vm.name = name
        self._ids[name] = vm.id

    # storage

    def pool(self, name: str) -> SimPool:
        """Return a storage pool. Raises StoragePoolNotFoundError."""
        found = self.pools.get(name)
        if found is None:
            raise StoragePoolNotFoundError(
                f"no storage pool {name!r}", resource=name, hint=f"there are: {', '.join(sorted(self.pools)) or 'none'}"
            )
        return found

    def volume(self, place: Place) -> SimVolume:
        """Return a volume. Raises StoragePoolNotFoundError, VolumeNotFoundError."""
        pool = self.pool(place[0])
        found = pool.volumes.get(place[1])
        if found is None and self.filling is not None and pool.name == "default":
            number = self.filling.number(place[1])
            if number and self.filling.volume(number) == place[1]:
                self.find(self.filling.identity(number))  # from now on the VM is kept, and its volume with it
                found = pool.volumes.get(place[1])
        if found is None:
            raise VolumeNotFoundError(
                f"no volume {place[1]!r} in the storage pool {place[0]!r}",
                resource=place[1],
                hint=f"`novacron volume list {place[0]}` shows them",
            )
        return found

    def place_of(self, path: str) -> Place | None:
        """Return the pool and name of the volume at a path; None if there is no such volume."""
        for pool in self.pools.values():
            if path.startswith(pool.path + "/"):
                place = (pool.name, path[len(pool.path) + 1 :])
                try:
                    self.volume(place)
                except VolumeNotFoundError:
                    continue
                return place
        return None

    def users(self, place: Place) -> list[str]:
        """Return what uses a volume: VMs, and volumes and templates with it as their backing file."""
        path = self.pool(place[0]).path_of(place[1])
        found = [f"the VM {vm.name!r}" for vm in self.vms.values() if place in vm.places()]
        found += [f"the volume {v.name!r}" for pool in self.pools.values() for v in pool.volumes.values() if v.backing == path]
        found += [f"the template {t.name!r}" for versions in self.templates.values() for t in versions if place in t.places()]
        return found

    # events

    def tell(self, kind: str, vm: SimVM | None = None, *, reason: str = "", resource: str | None = None, **data: Any) -> None:
        """Send an event to subscribers."""
        event = Event(
            kind=kind,
            host=self.name,
            at=now(),
            resource=vm.name if vm else resource,
            id=vm.id if vm else None,
            status=vm.status if vm else None,
            reason=reason,
            data=data,
        )
        self.broadcast.tell(event, always=kind == "host.connection")

    def set_status(self, vm: SimVM, status: Status, reason: str) -> None:
        """Change the status of a VM and send an event."""
        was_active = vm.active
        vm.status, vm.status_reason = status, reason
        if not vm.active:
            vm.started, vm.frozen = None, False
        elif not was_active:
            vm.started = time.monotonic()
        if status in ("stopped", "crashed"):
            for field, value in vm.after_stop.items():
                setattr(vm, field, value)
            vm.after_stop = {}
        self.tell("vm.status", vm, reason=reason)

    def crash(self, vm: str) -> None:
        """Crash a guest."""
        with self.lock:
            self.set_status(self.find(vm), "crashed", "panicked")

    def disconnect(self) -> None:
        """Disconnect the host. Operations raise HostConnectionError (not sent). Events are delivered after the reconnect."""
        with self.lock:
            self.faults.set_connected(False)
            self.tell("host.connection", resource=self.name, reason="lost")
            self.broadcast.hold()

    def reconnect(self) -> None:
        """Reconnect the host."""
        with self.lock:
            self.faults.set_connected(True)
            self.tell("host.connection", resource=self.name, reason="connected")
            self.broadcast.release()


class _Worlds:
    """The simulated hosts of this process by name."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._worlds: dict[str, World] = {}
        self._courier = Courier()

    def get(self, name: str, seed: str = "0") -> World:
        """Return the host of this name, which is created at the first call."""
        with self._guard:
            found = self._worlds.get(name.lower())
            if found is None:
                found = self._worlds[name.lower()] = World(name.lower(), self._courier, seed)
            return found

    def sharing(self, pool: SimPool) -> list[World]:
        """Return the hosts that share a storage pool."""
        with self._guard:
            return [each for each in self._worlds.values() if pool in each.pools.values()]

    def forget(self, name: str | None) -> None:
        """Remove one host, or all."""
        with self._guard:
            for each in [name.lower()] if name else list(self._worlds):
                self._worlds.pop(each, None)

    def names(self) -> set[str]:
        """Return the names of all hosts."""
        with self._guard:
            return set(self._worlds)


_worlds = _Worlds()


def world(name: str, seed: str = "0") -> World:
    """Return the simulated host behind `sim://NAME`, which all connections share. `seed` is used when it is created."""
    return _worlds.get(name, seed)


def worlds_with(pool: SimPool) -> list[World]:
    """Return the simulated hosts that share a storage pool."""
    return _worlds.sharing(pool)


def forget(name: str | None = None) -> None:
    """Remove a simulated host, or all of them. Open connections keep the old host; new ones get an empty one."""
    _worlds.forget(name)


@contextmanager
def temporary() -> Iterator[None]:
    """Remove at the end the simulated hosts that were created meanwhile, so that one test leaves nothing to the next.

    Example:
        >>> import novacron
        >>> from novacron.drivers import sim
        >>> with sim.temporary(), novacron.connect("sim://short-lived?vms=3") as host:
        ...     _ = host.vms.create(name="web1")
        >>> with novacron.connect("sim://short-lived") as host:
        ...     len(host.vms.list())
        0
    """
    before = _worlds.names()
    try:
        yield
    finally:
        for name in _worlds.names() - before:
            _worlds.forget(name)


__all__ = ["VERSION", "World", "forget", "temporary", "world", "worlds_with"]
