"""Snapshots: a tree of earlier states of a VM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.broadcast import now
from novacron.drivers.sim.state.machine import SimVM, Snapshotted
from novacron.errors import (
    AlreadyExistsError,
    GuestAgentUnavailableError,
    InvalidStateError,
    NovaCronError,
    SnapshotNotFoundError,
)
from novacron.jobs import Job
from novacron.records.snapshots import Checkpoint, Snapshot
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs.snapshots import SnapshotSpec

ACTIVE = ("running", "suspended")


class SimSnapshots(Area):
    """Creates, lists, reverts and deletes snapshots."""

    @simulated
    def snapshot_create(self, vm: str, spec: SnapshotSpec, job: Job[Snapshot]) -> Snapshot:
        """Store the current state of the VM."""
        job.report("saving disks", 0.0)
        with self.world.lock:
            sim_vm = self.changing(vm, "snapshot", "running", "suspended", "stopped", "crashed")
            self._check(sim_vm, spec)
        self.checkpoint("snapshot_create", sim_vm.name, sim_vm.id, job=job)
        job.raise_if_cancelled()
        with self.world.lock:
            sim_vm = self.changing(vm, "snapshot", "running", "suspended", "stopped", "crashed")
            self._check(sim_vm, spec)
            kept = self._kept(sim_vm, spec)
            sim_vm.snapshots[spec.name] = kept
            sim_vm.current = spec.name
            self.world.tell("vm.snapshot", sim_vm, reason="created", snapshot=spec.name)
            job.report("done", 1.0)
            return self._record(sim_vm, kept)

    @simulated
    def snapshot_check(self, vm: str, spec: SnapshotSpec, status: str) -> list[str]:
        """Run the checks of `snapshot_create`."""
        with self.world.lock:
            sim_vm = self.look(vm)
            try:
                _refuse_unfit(sim_vm, spec, status)
            except NovaCronError as error:
                return [error.message]
        return []

    @simulated
    def snapshot_list(self, vm: str) -> list[Snapshot]:
        """List the snapshots: parents before children, then by time."""
        with self.world.lock:
            sim_vm = self.look(vm)
            kept = sorted(sim_vm.snapshots.values(), key=lambda s: (_depth(sim_vm, s), s.created_at, s.name))
            return [self._record(sim_vm, each) for each in kept]

    @simulated
    def checkpoint_list(self, vm: str) -> list[Checkpoint]:
        """List the checkpoints, the oldest first."""
        with self.world.lock:
            return sorted(self.look(vm).checkpoints, key=lambda one: (one.created_at, one.name))

    @simulated
    def snapshot_get(self, vm: str, snapshot: str) -> Snapshot:
        """Return one snapshot."""
        with self.world.lock:
            sim_vm = self.look(vm)
            return self._record(sim_vm, self._find(sim_vm, snapshot))

    @simulated
    def snapshot_revert(self, vm: str, snapshot: str, job: Job[VM]) -> VM:
        """Restore disks, NICs, memory size and status."""
        job.report(f"reverting to {snapshot}", 0.0)
        self.checkpoint("snapshot_revert", vm, job=job)
        job.raise_if_cancelled()
        with self.world.lock:
            sim_vm = self.changing(vm, "revert")
            kept = self._find(sim_vm, snapshot)
            for place, (capacity, content) in kept.contents.items():
                volume = self.world.volume(place)
                volume.capacity, volume.content = capacity, content.copy()
            sim_vm.disks, sim_vm.nics, sim_vm.files = kept.disks, kept.nics, dict(kept.files)
            sim_vm.options = {key: dict(value) for key, value in kept.options.items()}
            sim_vm.vcpus, sim_vm.memory = kept.vcpus, kept.memory_bytes
            sim_vm.vcpus_max, sim_vm.memory_max = max(sim_vm.vcpus_max, kept.vcpus), max(sim_vm.memory_max, kept.memory_bytes)
            sim_vm.current = snapshot
            status = kept.status if kept.memory else "stopped"
            if sim_vm.status != status:
                self.world.set_status(sim_vm, status, "from-snapshot")
            self.world.tell("vm.snapshot", sim_vm, reason="reverted", snapshot=snapshot)
            job.report("done", 1.0)
            return self.record(sim_vm)

    @simulated
    def snapshot_delete(self, vm: str, snapshot: str, children: bool, job: Job[VM]) -> VM:
        """Delete a snapshot, and those below it if `children` is true."""
        job.report(f"deleting {snapshot}", 0.0)
        self.checkpoint("snapshot_delete", vm, job=job)
        job.raise_if_cancelled()
        with self.world.lock:
            sim_vm = self.changing(vm, "delete a snapshot of")
            kept = self._find(sim_vm, snapshot)
            going = _descendants(sim_vm, snapshot) if children else {snapshot}
            for each in sim_vm.snapshots.values():
                if each.parent == snapshot and not children:
                    each.parent = kept.parent
            for name in going:
                del sim_vm.snapshots[name]
                self.world.tell("vm.snapshot", sim_vm, reason="deleted", snapshot=name)
            if sim_vm.current in going:
                sim_vm.current = kept.parent
            job.report("done", 1.0)
            return self.record(sim_vm)

    def _check(self, vm: SimVM, spec: SnapshotSpec) -> None:
        if spec.name in vm.snapshots:
            raise AlreadyExistsError(
                f"{vm.name!r} has a snapshot {spec.name!r} already",
                resource=vm.name,
                hint="choose another name, or delete the existing snapshot",
            )
        _refuse_unfit(vm, spec, vm.status)

    def _kept(self, vm: SimVM, spec: SnapshotSpec) -> Snapshotted:
        memory = vm.active if spec.memory is None else spec.memory
        kept = Snapshotted(
            spec.name,
            created_at=now(),
            parent=vm.current,
            description=spec.description,
            kind=spec.kind or "internal",
            memory=memory,
        )
        kept.status = vm.status if memory else "stopped"
        kept.vcpus, kept.memory_bytes, kept.disks, kept.nics, kept.files = vm.vcpus, vm.memory, vm.disks, vm.nics, dict(vm.files)
        kept.options = {key: dict(value) for key, value in vm.options.items()}
        for disk in vm.disks:
            if disk.pool and disk.volume and not disk.read_only:
                volume = self.world.volume((disk.pool, disk.volume))
                kept.contents[disk.pool, disk.volume] = (volume.capacity, volume.content.copy())
        return kept

    def _find(self, vm: SimVM, name: str) -> Snapshotted:
        found = vm.snapshots.get(name)
        if found is None:
            raise SnapshotNotFoundError(
                f"{vm.name!r} has no snapshot {name!r}",
                resource=vm.name,
                hint=f"it has: {', '.join(sorted(vm.snapshots)) or 'none'}",
            )
        return found

    def _record(self, vm: SimVM, kept: Snapshotted) -> Snapshot:
        return Snapshot(
            name=kept.name,
            vm=vm.id,
            host=self.connection.name,
            created_at=kept.created_at,
            status=kept.status,
            parent=kept.parent,
            current=vm.current == kept.name,
            memory=kept.memory,
            kind=kept.kind,
            description=kept.description,
            disks=tuple(d.target for d in kept.disks if (d.pool, d.volume) in kept.contents),
        )


def _refuse_unfit(vm: SimVM, spec: SnapshotSpec, status: str) -> None:
    """Raise an error if a VM of that status can't have such a snapshot."""
    if status not in (*ACTIVE, "stopped", "crashed"):
        raise InvalidStateError.of_status("snapshot", vm.name, status, (*ACTIVE, "stopped"))
    if spec.memory and status not in ACTIVE:
        raise InvalidStateError(
            f"can't keep the memory of {vm.name!r}: it is {status}", resource=vm.name, hint="start it, or leave memory out"
        )
    if spec.quiesce and not (status == "running" and vm.agent):
        raise GuestAgentUnavailableError(
            f"can't quiesce {vm.name!r}: its guest agent does not answer", resource=vm.name, hint="leave quiesce out"
        )


def _depth(vm: SimVM, snapshot: Snapshotted) -> int:
    depth = 0
    while snapshot.parent is not None:
        snapshot, depth = vm.snapshots[snapshot.parent], depth + 1
    return depth


def _descendants(vm: SimVM, name: str) -> set[str]:
    """Return the names of a snapshot and of all snapshots below it."""
    found = {name}
    while more := {s.name for s in vm.snapshots.values() if s.parent in found} - found:
        found |= more
    return found


__all__ = ["SimSnapshots"]
