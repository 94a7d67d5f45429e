"""Create, find, change and delete VMs."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.operations.power import start
from novacron.drivers.sim.state.broadcast import now
from novacron.drivers.sim.state.configuration import configuration, disk_secrets, host_files, set_hardware
from novacron.drivers.sim.state.copying import copied_vm
from novacron.drivers.sim.state.disks import add_volume, make_disk, refuse_users, remove_volume
from novacron.drivers.sim.state.hardware import settings
from novacron.drivers.sim.state.machine import Place, SimVM
from novacron.drivers.sim.state.nics import make_nic
from novacron.drivers.sim.state.pools import SimVolume
from novacron.drivers.sim.state.world import World
from novacron.errors import (
    AlreadyExistsError,
    ImageNotFoundError,
    InvalidSpecError,
    InvalidStateError,
    OperationTimeoutError,
    SpecProblem,
)
from novacron.jobs import Job
from novacron.records.questions import Question
from novacron.records.vm import VM, Deleted, NativeDefinition, VMConfiguration

if TYPE_CHECKING:
    from novacron.specs.query import VMQuery
    from novacron.specs.vm import VMSpec, VMUpdate

FORMAT = "novacron sim json"
VOLATILE = (
    "host",
    "node",
    "path",
    "folder",
    "status",
    "status_reason",
    "created_at",
    "persistent",
    "locked_memory",
    "agent_connected",
)
"""Fields of a VM's record that are no part of its definition."""


class SimLifecycle(Area):
    """Creates, finds, changes and deletes VMs."""

    @simulated
    def vm_settle(self, vm: str, seconds: float) -> VM:
        """Wait until no operation changes the VM."""
        sim_vm = self.look(vm)
        if not self.world.settle(sim_vm.id, seconds):
            raise OperationTimeoutError(f"{sim_vm.name!r} is still busy after {seconds:g} s", resource=sim_vm.name)
        return self.record(self.look(sim_vm.id))

    @simulated
    def vm_list(self, query: VMQuery) -> list[VM]:
        """Return all VMs. VMs that were never changed since the start are generated on demand."""
        full = query.detail == "full"
        with self.world.lock:
            return [self.record(vm, full=full) for vm in self.world.all()]

    @simulated
    def vm_get(self, vm: str) -> VM:
        """Return one VM."""
        with self.world.lock:
            return self.record(self.look(vm))

    @simulated
    def vm_create(self, spec: VMSpec, job: Job[VM]) -> VM:
        """Create the disks, define the VM, and start it if requested. On failure nothing remains."""
        self.refuse_unknown_secrets(*(disk.encryption for disk in spec.disks))
        with ExitStack() as undo:
            with self.world.lock:
                check_spec(self.world, spec)
                job.report("making disks", 0.0)
                vm = self._made(spec, undo)
            self.checkpoint("vm_create", spec.name, job=job)
            job.raise_if_cancelled()
            with self.world.lock:
                add_made(self.world, vm, undo, started=spec.start)
                job.report("done", 1.0)
                return self.record(vm)

    @simulated
    def vm_preview(self, spec: VMSpec) -> NativeDefinition:
        """Make the VM without adding it to the world, and return it as JSON. Its disks are removed again."""
        self.refuse_unknown_secrets(*(disk.encryption for disk in spec.disks))
        with self.world.lock, ExitStack() as undo:
            check_spec(self.world, spec)
            return NativeDefinition(vm=spec.name, format=FORMAT, text=self._as_json(self._made(spec, undo)))

    @simulated
    def vm_delete(self, vm: str, keep_disks: bool, force: bool) -> Deleted:
        """Delete the VM, then the volumes that were created for it and that nothing else needs."""
        with self.world.lock:
            sim_vm = self.changing(vm, "delete")
            if sim_vm.active and not force:
                raise InvalidStateError(
                    f"can't delete {sim_vm.name!r}: it is {sim_vm.status}",
                    resource=sim_vm.name,
                    hint="stop it first, or give force=True (--force)",
                )
            if sim_vm.active:
                self.world.set_status(sim_vm, "stopped", "destroyed")
            places = sorted(sim_vm.places())
            self.world.drop(sim_vm)
            removed = [f"definition of {sim_vm.name}", *(f"snapshot {name}" for name in sorted(sim_vm.snapshots))]
            removed += _belongings(sim_vm)
            kept = list[str]()
            for place in places:
                path = self.world.pool(place[0]).path_of(place[1])
                if keep_disks or place not in sim_vm.made or self.world.users(place):
                    kept.append(path)
                elif remove_volume(self.world, place):
                    removed.append(path)
            self.world.tell("vm.deleted", sim_vm, reason="removed")
            return Deleted(name=sim_vm.name, id=sim_vm.id, removed=tuple(removed), kept=tuple(kept))

    @simulated
    def vm_clone(self, vm: str, name: str, linked: bool, job: Job[VM]) -> VM:
        """Copy a stopped VM."""
        with ExitStack() as undo:
            with self.world.lock:
                source = self.changing(vm, "clone", "stopped", "crashed")
                refuse_taken(self.world, name, None)
                job.report("copying disks", 0.0)
                copy = copied_vm(self.world, source, name, linked=linked, undo=undo)
            self.checkpoint("vm_clone", source.name, source.id, job=job)
            job.raise_if_cancelled()
            with self.world.lock:
                refuse_taken(self.world, name, None)
                undo.pop_all()
                self.world.add(copy)
                self.world.tell("vm.defined", copy, reason="added")
                job.report("done", 1.0)
                return self.record(copy)

    @simulated
    def vm_clone_instant(self, vm: str, name: str, job: Job[VM]) -> VM:
        """Copy a running VM and start the copy."""
        with ExitStack() as undo:
            with self.world.lock:
                source = self.changing(vm, "clone", "running")
                refuse_taken(self.world, name, None)
                copy = copied_vm(self.world, source, name, linked=True, undo=undo)
            self.checkpoint("vm_clone_instant", source.name, source.id, job=job)
            job.raise_if_cancelled()
            with self.world.lock:
                refuse_taken(self.world, name, None)
                undo.callback(self.world.drop, copy)
                self.world.add(copy)
                start(self.world, copy, "cloned")
                undo.pop_all()
                job.report("done", 1.0)
                return self.record(copy)

    @simulated
    def question_list(self) -> list[Question]:
        """Return the questions in `world.questions`."""
        with self.world.lock:
            there = {vm.id for vm in self.world.vms.values()}
            return sorted((q for q in self.world.questions.values() if q.vm in there), key=lambda q: (q.name, q.vm))

    @simulated
    def question_answer(self, vm: str, question: str, answer: str) -> VM:
        """Store the answer. The VM continues."""
        with self.world.lock:
            sim_vm = self.changing(vm, "answer a question of")
            asked = self.world.questions.get(sim_vm.id)
            if asked is None or asked.id != question:
                raise InvalidStateError(
                    f"{sim_vm.name!r} does not wait on the question {question!r}",
                    resource=sim_vm.name,
                    hint=f"it waits on: {asked.id if asked else 'none'}",
                )
            if answer not in asked.choices and answer not in asked.choices.values():
                allowed = "one of " + ", ".join(f"{key} ({text})" for key, text in asked.choices.items())
                problem = SpecProblem("answer", answer, allowed)
                raise InvalidSpecError("no such answer", resource=sim_vm.name, problems=[problem])
            del self.world.questions[sim_vm.id]
            return self.record(sim_vm)

    @simulated
    def vm_rename(self, vm: str, name: str) -> VM:
        """Rename a stopped VM."""
        with self.world.lock:
            sim_vm = self.changing(vm, "rename", "stopped", "crashed")
            refuse_taken(self.world, name, None)
            self.world.rename(sim_vm, name)
            self.world.tell("vm.defined", sim_vm, reason="renamed")
            return self.record(sim_vm)

    @simulated
    def vm_update(self, vm: str, changes: VMUpdate) -> VM:
        """Change the given fields only."""
        with self.world.lock:
            sim_vm = self.changing(vm, "update")
            for field, given in (("vcpus", changes.vcpus), ("memory", changes.memory)):
                most = getattr(sim_vm, f"{field}_max")
                if field == "memory" and given is not None and given > self.world.memory_bytes:
                    problem = SpecProblem("memory", str(given), f"at most what the host has, {self.world.memory_bytes} bytes")
                    raise InvalidSpecError("this host can't run that VM", problems=[problem], resource=sim_vm.name)
                if given is not None and sim_vm.active and given > most:
                    raise InvalidStateError(
                        f"can't give the running {sim_vm.name!r} {field} {given}: its maximum is {most}",
                        resource=sim_vm.name,
                        hint=f"stop it first, or create it with {field}_max",
                    )
            set_hardware(sim_vm, changes)
            if changes.vcpus is not None:
                sim_vm.vcpus, sim_vm.vcpus_max = changes.vcpus, max(sim_vm.vcpus_max, changes.vcpus)
            if changes.memory is not None:
                sim_vm.memory, sim_vm.memory_max = changes.memory, max(sim_vm.memory_max, changes.memory)
            if changes.description is not None:
                sim_vm.description = changes.description
            if changes.tags is not None:
                sim_vm.tags = changes.tags
            if changes.autostart is not None:
                sim_vm.autostart = changes.autostart
            merged = {**sim_vm.metadata, **(changes.metadata or {})}
            sim_vm.metadata = {key: value for key, value in merged.items() if value is not None}
            self.world.tell("vm.defined", sim_vm, reason="updated")
            return self.record(sim_vm)

    @simulated
    def vm_configuration(self, vm: str) -> VMConfiguration:
        """Return the stored settings. Changes of a running VM apply at once on a simulated host."""
        with self.world.lock:
            sim_vm = self.look(vm)
            return VMConfiguration(
                vm=sim_vm.id, fields=configuration(sim_vm), files=host_files(sim_vm), secrets=disk_secrets(sim_vm)
            )

    @simulated
    def vm_export(self, vm: str) -> NativeDefinition:
        """Return a VM as JSON."""
        with self.world.lock:
            sim_vm = self.look(vm)
            return NativeDefinition(vm=sim_vm.id, format=FORMAT, text=self._as_json(sim_vm))

    @simulated
    def vm_import(self, definition: str) -> VM:
        """Define a VM from the output of `vm_export`. Its volumes must exist."""
        from novacron.drivers.sim.state.definition import parsed

        with self.world.lock:
            vm = parsed(self.world, definition)
            refuse_taken(self.world, vm.name, vm.id)
            _refuse_disks_in_use(self.world, vm)
            self.world.add(vm)
            self.world.tell("vm.defined", vm, reason="added")
            return self.record(vm)

    def _as_json(self, vm: SimVM) -> str:
        """Return the definition of a VM: its record without what changes by itself, and the settings that no record has."""
        record = vm.record(self.connection.name, self.world.name).as_dict()
        for volatile in VOLATILE:
            del record[volatile]
        record["tags"] = sorted(record["tags"])
        record |= {"vcpus_max": vm.vcpus_max, "memory_max_bytes": vm.memory_max, "guest_agent": vm.agent}
        record |= {"max_memory_bytes": vm.max_memory, "memory_modules": vm.modules, "iothreads": vm.iothreads}
        record |= {"hardware": vm.hardware, "options": vm.options}
        return json.dumps(record, indent=2)

    def _made(self, spec: VMSpec, undo: ExitStack) -> SimVM:
        from novacron.specs.disks import DiskSpec

        world = self.world
        vm = SimVM(id=str(spec.id or world.new_id()), name=spec.name, vcpus=spec.vcpus, memory=spec.memory, created_at=now())
        vm.vcpus_max, vm.memory_max = spec.vcpus_max or spec.vcpus, spec.memory_max or spec.memory
        vm.max_memory, vm.iothreads = spec.max_memory, tuple(range(1, spec.iothreads + 1))
        vm.arch = spec.arch or "x86_64"
        vm.machine = spec.machine or world.architectures[vm.arch][-1]
        vm.firmware, vm.autostart, vm.agent = spec.firmware, spec.autostart, spec.guest_agent
        vm.tags, vm.metadata, vm.description = spec.tags, dict(spec.metadata), spec.description
        vm.native = dict(spec.native) | ({"tpm": True} if spec.tpm else {})
        vm.hardware = settings(spec)
        vm.nics = tuple(make_nic(world, nic) for nic in spec.nics)
        vm.filters = {nic.mac: asked.filter for nic, asked in zip(vm.nics, spec.nics, strict=True) if asked.filter}
        vm.options = {nic.mac: settings(asked) for nic, asked in zip(vm.nics, spec.nics, strict=True) if settings(asked)}
        wanted = [*spec.disks, *([DiskSpec(device="cdrom", path=spec.iso)] if spec.iso else ())]
        taken = {disk.target for disk in wanted if disk.target}
        made: set[Place] = set()
        for asked in wanted:
            disk, place = make_disk(world, spec.name, asked, taken, undo)
            taken.add(disk.target)
            vm.options |= {disk.target: settings(asked)} if settings(asked) else {}
            vm.disks += (disk,)
            made |= {place} if place else set()
        if spec.cloud_init:
            seed = SimVolume(f"{spec.name}-seed.iso", 2**20, "raw", fixed=2**20)
            seed.content.write(0, spec.cloud_init.model_dump_json().encode())
            place = add_volume(world, world.pool("default"), seed, undo)
            disk, _ = make_disk(world, spec.name, DiskSpec(device="cdrom", path="/".join(place)), taken, undo)
            vm.disks += (disk,)
            made.add(place)
        vm.made = frozenset(made)
        return vm


def add_made(world: World, vm: SimVM, undo: ExitStack, *, started: bool) -> None:
    """Add a new VM, and start it if that is asked. After that, `undo` no longer removes its disks."""
    refuse_taken(world, vm.name, vm.id)
    world.add(vm)
    undo.callback(world.drop, vm)
    if started:
        start(world, vm, "booted")
    undo.pop_all()
    world.tell("vm.defined", vm, reason="added")


def refuse_taken(world: World, name: str, identity: str | None) -> None:
    """Raise AlreadyExistsError if a VM of that name or UUID exists."""
    for key in filter(None, (name, identity)):
        if world.look(key) is not None:
            raise AlreadyExistsError(
                f"a VM {key!r} is already there", resource=name, hint="choose another name, or delete the existing VM"
            )


def _refuse_disks_in_use(world: World, vm: SimVM) -> None:
    """Raise DiskLockedError if another VM uses a disk that this VM would write to and does not share."""
    for disk in vm.disks:
        place = world.place_of(disk.source) if disk.source else None
        if place is not None and disk.device == "disk" and not (disk.read_only or disk.shareable):
            refuse_users(world, vm.name, disk.target, place)


def check_spec(world: World, spec: VMSpec) -> None:
    """Reject everything that this host does not support, at once. Raises AlreadyExistsError, InvalidSpecError, ImageNotFoundError."""
    refuse_taken(world, spec.name, str(spec.id) if spec.id else None)
    problems = []
    arch = spec.arch or "x86_64"
    machines = world.architectures.get(arch)
    if machines is None:
        problems.append(SpecProblem("arch", arch, "one of " + ", ".join(sorted(world.architectures))))
    elif spec.machine and spec.machine not in machines:
        problems.append(SpecProblem("machine", spec.machine, "one of " + ", ".join(machines)))
    if spec.memory > world.memory_bytes:
        problems.append(SpecProblem("memory", str(spec.memory), f"at most what the host has, {world.memory_bytes} bytes"))
    if spec.node and spec.node != world.name:
        problems.append(SpecProblem("node", spec.node, world.name))
    if problems:
        raise InvalidSpecError("this host can't run that VM", problems=problems, resource=spec.name)
    for path in filter(None, (spec.kernel.path, spec.kernel.initrd) if spec.kernel else ()):
        in_pool = any(path.startswith(pool.path + "/") for pool in world.pools.values())
        if in_pool and world.place_of(path) is None:
            raise ImageNotFoundError(f"no file {path!r}", resource=path, hint="put it into the storage pool")


def _belongings(vm: SimVM) -> list[str]:
    found = ["NVRAM"] if vm.firmware != "bios" else []
    found += ["TPM state"] if vm.native.get("tpm") else []
    return found + (["saved memory"] if vm.status == "saved" else [])


__all__ = ["FORMAT", "SimLifecycle", "add_made", "check_spec", "refuse_taken"]
