"""The pre-checks of a migration. All failures are reported at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from novacron.drivers.sim.state.disks import taken_volume
from novacron.drivers.sim.state.hardware import fits
from novacron.drivers.sim.state.machine import Place, SimVM
from novacron.drivers.sim.state.world import CPU_MODELS, World
from novacron.errors import NotFoundError

if TYPE_CHECKING:
    from novacron.specs.migration import MigrationSpec


def failures(source: World, vm: SimVM, destination: World, name: str, spec: MigrationSpec) -> Iterator[str]:
    """Yield all failed pre-checks. The caller holds the locks of both hosts."""
    if vm.status not in ("running", "suspended", "stopped"):
        yield f"it is {vm.status}: running, suspended or stopped VMs can move"
    if vm.migration is not None:
        yield "it is being migrated already"
    if source is destination:
        yield f"{name} is the same host"
        return
    if not destination.faults.connected:
        yield f"{name} can't be reached"
        return
    for key in (vm.id, vm.name):
        if destination.look(key) is not None:
            yield f"{name} has a VM {key!r} already"
    if vm.machine not in destination.architectures.get(vm.arch, ()):
        yield f"{name} can't run {vm.arch} guests on the machine type {vm.machine}"
    wanted = vm.hardware.get("cpu_model")
    if wanted in CPU_MODELS and CPU_MODELS.index(wanted) > CPU_MODELS.index(destination.cpu_model):
        yield f"{name} can't give the CPU {wanted}: it has {destination.cpu_model}"
    if vm.memory > destination.memory_bytes:
        yield f"{name} has {destination.memory_bytes} bytes of memory, the VM has {vm.memory}"
    if spec.node and spec.node != destination.name:
        yield f"{name} has no node {spec.node!r}"
    if vm.hardware.get("host_devices"):
        yield "it has passed-through devices of this host"
    for cpus in sorted({each for each in vm.pinning.values() if not fits(each, destination.cpus)}):
        yield f"it is pinned to the CPUs {cpus}, and {name} has {destination.cpus}"
    for network in sorted({nic.network for nic in vm.nics if nic.type == "network" and nic.network}):
        there = destination.networks.get(network)
        if there is None:
            yield f"{name} has no network {network!r}"
        elif not there.active:
            yield f"the network {network!r} of {name} is not active"
    for used in sorted(set(vm.filters.values()) - set(destination.filters)):
        yield f"{name} has no traffic filter {used!r}"
    yield from _storage(source, vm, destination, name)


def _storage(source: World, vm: SimVM, destination: World, name: str) -> Iterator[str]:
    moving = moving_places(source, vm)
    for pool in sorted({place[0] for place in moving}):
        there = destination.pools.get(pool)
        if there is None:
            yield f"{name} has no storage pool {pool!r}"
        elif not there.active:
            yield f"the storage pool {pool!r} of {name} is not active"
        else:
            needed = sum(source.volume(place).allocated for place in moving if place[0] == pool)
            free = there.capacity_bytes - there.allocated_bytes
            if needed > free:
                yield f"the storage pool {pool!r} of {name} has {free} bytes left, {needed} are needed"
            for place in moving:
                if place[0] == pool and taken_volume(destination, there, place[1]):
                    yield f"{name} has a volume {place[1]!r} in the storage pool {pool!r} already"
    for place in sorted(vm.places() - set(moving)):
        try:
            destination.volume(place)
        except NotFoundError:
            yield f"{name} does not see {'/'.join(place)}, which other VMs of {source.name} may also use; add it there too"
    for place in moving:
        users = [user for user in source.users(place) if user != f"the VM {vm.name!r}"]
        if users:
            yield f"its volume {place[1]!r} is used by {', '.join(users)}"


def moving_places(world: World, vm: SimVM) -> list[Place]:
    """Return the volumes that migrate with the VM: those created for it."""
    return sorted(place for place in vm.made if place[0] in world.pools and place[1] in world.pools[place[0]].volumes)


__all__ = ["failures", "moving_places"]
