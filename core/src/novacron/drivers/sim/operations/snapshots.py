"""Snapshots: a tree of earlier states of a VM."""

from __future__ import annotations

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.broadcast import now
from novacron.drivers.sim.state.machine import SimVM, Snapshotted
from novacron.errors import (
    AlreadyExistsError,
    GuestAgentUnavailableError,
    InvalidStateError,
    SnapshotNotFoundError,
)
from novacron.jobs import Job
from novacron.records.snapshots import Snapshot
from novacron.records.vm import VM
from novacron.specs.snapshots import SnapshotSpec


class SimSnapshots(Area):
    """Creates, lists, reverts and deletes snapshots."""

    @simulated
    def snapshot_create(self, vm: str, spec: SnapshotSpec, job: Job[Snapshot]) -> Snapshot:
        """Store the current state of the VM."""
        job.report("saving disks", 0.0)
        with self.world.lock:
            found = self.changing(vm, "snapshot", "running", "suspended", "stopped", "crashed")
            self._check(found, spec)
        self.checkpoint("snapshot_create", found.name, found.id)
        job.raise_if_cancelled()
        with self.world.lock:
            found = self.changing(vm, "snapshot", "running", "suspended", "stopped", "crashed")
            self._check(found, spec)
            kept = self._kept(found, spec)
            found.snapshots[spec.name] = kept
            found.current = spec.name
            self.world.tell("vm.snapshot", found, reason="created", snapshot=spec.name)
            job.report("done", 1.0)
            return self._record(found, kept)

    @simulated
    def snapshot_list(self, vm: str) -> list[Snapshot]:
        """List the snapshots: parents before children, then by time."""
        with self.world.lock:
            found = self.look(vm)
            kept = sorted(found.snapshots.values(), key=lambda s: (_depth(found, s), s.created_at, s.name))
            return [self._record(found, each) for each in kept]

    @simulated
    def snapshot_get(self, vm: str, snapshot: str) -> Snapshot:
        """Return one snapshot."""
        with self.world.lock:
            found = self.look(vm)
            return self._record(found, self._find(found, snapshot))

    @simulated
    def snapshot_revert(self, vm: str, snapshot: str, job: Job[VM]) -> VM:
        """Restore disks, NICs, memory size and status."""
        job.report(f"reverting to {snapshot}", 0.0)
        self.checkpoint("snapshot_revert", vm)
        job.raise_if_cancelled()
        with self.world.lock:
            found = self.changing(vm, "revert")
            kept = self._find(found, snapshot)
            for place, (capacity, content) in kept.contents.items():
                volume = self.world.volume(place)
                volume.capacity, volume.content = capacity, content.copy()
            found.disks, found.nics, found.files = kept.disks, kept.nics, dict(kept.files)
            found.options = {key: dict(value) for key, value in kept.options.items()}
            found.vcpus, found.memory = kept.vcpus, kept.memory_bytes
            found.vcpus_max, found.memory_max = max(found.vcpus_max, kept.vcpus), max(found.memory_max, kept.memory_bytes)
            found.current = snapshot
            status = kept.status if kept.memory else "stopped"
            if found.status != status:
                self.world.set_status(found, status, "from-snapshot")
            self.world.tell("vm.snapshot", found, reason="reverted", snapshot=snapshot)
            job.report("done", 1.0)
            return self.record(found)

    @simulated
    def snapshot_delete(self, vm: str, snapshot: str, children: bool, job: Job[VM]) -> VM:
        """Delete a snapshot, and those below it if `children` is true."""
        job.report(f"deleting {snapshot}", 0.0)
        self.checkpoint("snapshot_delete", vm)
        job.raise_if_cancelled()
        with self.world.lock:
            found = self.changing(vm, "delete a snapshot of")
            kept = self._find(found, snapshot)
            going = _descendants(found, snapshot) if children else {snapshot}
            for each in found.snapshots.values():
                if each.parent == snapshot and not children:
                    each.parent = kept.parent
            for name in going:
                del found.snapshots[name]
                self.world.tell("vm.snapshot", found, reason="deleted", snapshot=name)
            if found.current in going:
                found.current = kept.parent
            job.report("done", 1.0)
            return self.record(found)

    def _check(self, vm: SimVM, spec: SnapshotSpec) -> None:
        if spec.name in vm.snapshots:
            raise AlreadyExistsError(
                f"{vm.name!r} has a snapshot {spec.name!r} already",
                resource=vm.name,
                hint="give another name, or delete that one",
            )
        if spec.memory and not vm.active:
            raise InvalidStateError(
                f"can't keep the memory of {vm.name!r}: it is {vm.status}", resource=vm.name, hint="start it, or leave memory out"
            )
        if spec.quiesce and not (vm.status == "running" and vm.agent):
            raise GuestAgentUnavailableError(
                f"can't quiesce {vm.name!r}: its guest agent does not answer", resource=vm.name, hint="leave quiesce out"
            )

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
