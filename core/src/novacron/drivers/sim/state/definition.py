"""Parses the exported definition of a simulated VM."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from novacron.conversion import convert
from novacron.drivers.sim.state.broadcast import now
from novacron.drivers.sim.state.machine import SimVM
from novacron.drivers.sim.state.world import World
from novacron.errors import ImageNotFoundError, InvalidSpecError, NetworkNotFoundError, SpecProblem
from novacron.records.disks import Disk
from novacron.records.nics import NIC
from novacron.redaction import described


class Definition(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The fields of an exported VM."""

    id: str
    name: str
    vcpus: int
    memory_bytes: int
    vcpus_max: int
    memory_max_bytes: int
    max_memory_bytes: int | None = None
    memory_modules: tuple[int, ...] = ()
    iothreads: tuple[int, ...] = ()
    arch: str = "x86_64"
    machine: str = "q35"
    firmware: str = "bios"
    disks: tuple[Disk, ...] = ()
    nics: tuple[NIC, ...] = ()
    tags: frozenset[str] = frozenset()
    metadata: dict[str, str] = {}
    description: str = ""
    autostart: bool = False
    guest_agent: bool = True
    made: tuple[str, ...] = ()  # older versions wrote it; ignored, because a definition can't say which files belong to a VM
    hardware: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    native: dict[str, Any] = {}


def parsed(world: World, text: str) -> SimVM:
    """Return a stopped VM.

    Raises:
        InvalidSpecError: the text is not such a definition.
        ImageNotFoundError, NetworkNotFoundError: a file or network of the VM does not exist.
    """
    try:
        given = convert(json.loads(text), Definition, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        raise InvalidSpecError(
            "invalid definition", problems=[SpecProblem("definition", described(text), f"what vm_export wrote ({error})")]
        ) from None
    for disk in given.disks:
        if disk.source and world.place_of(disk.source) is None:
            raise ImageNotFoundError(f"no file {disk.source!r}", resource=disk.source, hint="import the volumes first")
    for nic in given.nics:
        if nic.type == "network" and nic.network not in world.networks:
            raise NetworkNotFoundError(f"no network {nic.network!r}", resource=nic.network)
    vm = SimVM(id=given.id, name=given.name, vcpus=given.vcpus, memory=given.memory_bytes, created_at=now())
    vm.vcpus_max, vm.memory_max = given.vcpus_max, given.memory_max_bytes
    vm.max_memory, vm.modules, vm.iothreads = given.max_memory_bytes, given.memory_modules, given.iothreads
    vm.arch, vm.machine, vm.firmware = given.arch, given.machine, given.firmware
    vm.disks, vm.nics, vm.tags, vm.metadata = given.disks, given.nics, given.tags, given.metadata
    vm.description, vm.autostart, vm.agent, vm.native = given.description, given.autostart, given.guest_agent, given.native
    vm.hardware, vm.options = given.hardware, given.options
    return vm


__all__ = ["Definition", "parsed"]
