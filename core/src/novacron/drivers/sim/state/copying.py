"""Copies VMs, for clones and templates."""

from __future__ import annotations

from contextlib import ExitStack

from novacron.drivers.sim.state.broadcast import now
from novacron.drivers.sim.state.disks import add_volume, copied, with_volume
from novacron.drivers.sim.state.machine import SimVM
from novacron.drivers.sim.state.world import World
from novacron.records.nics import NIC


def copied_vm(world: World, source: SimVM, name: str, *, linked: bool, undo: ExitStack) -> SimVM:
    """Return a stopped copy with its own UUID, MAC addresses and volumes."""
    copy = SimVM(id=world.new_id(), name=name, vcpus=source.vcpus, memory=source.memory, created_at=now())
    for field in (
        "vcpus_max",
        "memory_max",
        "max_memory",
        "modules",
        "iothreads",
        "arch",
        "machine",
        "firmware",
        "tags",
        "description",
        "agent",
    ):
        setattr(copy, field, getattr(source, field))
    copy.metadata, copy.native, copy.limits = dict(source.metadata), dict(source.native), dict(source.limits)
    copy.files, copy.pinning = dict(source.files), dict(source.pinning)
    copy.hardware = dict(source.hardware)
    copy.options = {disk.target: source.options[disk.target] for disk in source.disks if disk.target in source.options}
    for nic in source.nics:
        twin: NIC = nic.replace(mac=world.new_mac(), addresses=())
        copy.nics += (twin,)
        copy.options |= {twin.mac: source.options[nic.mac]} if nic.mac in source.options else {}
        if nic.mac in source.filters:
            copy.filters[twin.mac] = source.filters[nic.mac]
    made = set()
    for disk in source.disks:
        if disk.device == "disk" and disk.pool and disk.volume and not disk.shareable:
            volume = world.volume((disk.pool, disk.volume))
            pool = world.pool(disk.pool)
            own = copied(volume, f"{name}-{disk.target}.{volume.format}", backing=disk.source if linked else None)
            place = add_volume(world, pool, own, undo)
            made.add(place)
            disk = with_volume(world, disk, place)
        copy.disks += (disk,)
    copy.made = frozenset(made)
    return copy


__all__ = ["copied_vm"]
