"""Snapshots: vSphere's own tree of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from novacron.errors import (
    AlreadyExistsError,
    GuestAgentUnavailableError,
    InvalidSpecError,
    InvalidStateError,
    SnapshotNotFoundError,
    SpecProblem,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.snapshots import Snapshot
from novacron.records.vm import VM
from novacron.specs.snapshots import SnapshotSpec
from novacron_vmware.devices import disk_records
from novacron_vmware.errors import translated
from novacron_vmware.records import STATUSES
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations


class VMwareSnapshots(VMOperations):
    """Takes, lists, reverts to and deletes snapshots."""

    @hookimpl
    def snapshot_create(self, vm: str, spec: SnapshotSpec, job: Job[Snapshot]) -> Snapshot:
        """Take one; a snapshot that fails is taken back by vSphere itself."""
        thing, record = self._changing(vm, "snapshot", "running", "suspended", "stopped")
        if spec.kind == "internal":
            problem = SpecProblem("kind", "internal", "external: vSphere keeps snapshots in files of their own")
            raise InvalidSpecError("no such snapshot here", resource=record.name, problems=[problem])
        if any(each.name == spec.name for each, _ in self._tree(thing)):
            raise AlreadyExistsError(
                f"{record.name!r} has a snapshot {spec.name!r} already",
                resource=record.name,
                hint="give another name, or delete that one",
            )
        if spec.memory and record.status == "stopped":
            raise InvalidStateError(
                f"can't keep the memory of {record.name!r}: it is stopped",
                resource=record.name,
                hint="start it, or leave memory out",
            )
        if spec.quiesce:
            self._check_tools(thing, record)
        memory = record.status != "stopped" and not spec.quiesce if spec.memory is None else spec.memory
        job.report("taking the snapshot", 0.0)
        with translated(record.name):
            task = thing.CreateSnapshot_Task(spec.name, spec.description, memory, spec.quiesce)
            self._connection.wait(task, resource=record.name, job=job)
        try:
            job.raise_if_cancelled()
            return self.snapshot_get(vm, spec.name)
        except BaseException:
            self._remove(thing, record.name, spec.name, children=False)
            raise

    @hookimpl
    def snapshot_list(self, vm: str) -> list[Snapshot]:
        """List them, parents before children, then by time."""
        thing = self._find(vm)
        read = self._connection.read(thing, ["config.instanceUuid", "snapshot"])
        current = read["snapshot"].currentSnapshot if read.get("snapshot") else None
        tree = list(self._walk(read["snapshot"].rootSnapshotList if read.get("snapshot") else ()))
        known = self._known([each for each, _ in tree])
        depth: dict[str | None, int] = {None: 0}
        found = []
        for each, parent in tree:
            depth[each.name] = depth[parent] + 1
            kept = known.get(each.snapshot, {})
            devices = kept.get("config.hardware.device") or ()
            memory = str(each.state) != "poweredOff"
            found.append(
                Snapshot(
                    name=each.name,
                    vm=read["config.instanceUuid"],
                    host=self._connection.name,
                    created_at=each.createTime.isoformat(),
                    status=STATUSES.get(str(each.state), "unknown") if memory else "stopped",
                    parent=parent,
                    current=each.snapshot == current,
                    memory=memory,
                    kind="external",
                    description=each.description or "",
                    disks=tuple(d.target for d in disk_records(devices) if d.device == "disk"),
                )
            )
        return sorted(found, key=lambda s: (depth[s.name], s.created_at, s.name))

    @hookimpl
    def snapshot_get(self, vm: str, snapshot: str) -> Snapshot:
        """Return one."""
        listed = self.snapshot_list(vm)
        for each in listed:
            if each.name == snapshot:
                return each
        raise _not_found(vm, snapshot, [s.name for s in listed])

    @hookimpl
    def snapshot_revert(self, vm: str, snapshot: str, job: Job[VM]) -> VM:
        """Put everything back: disks, NICs, CPUs, memory size and power state. A suspended one is resumed and halted again."""
        thing, record = self._changing(vm, "revert", "running", "suspended", "stopped")
        kept = self._snapshot(thing, vm, snapshot)
        job.report(f"reverting to {snapshot}", 0.0)
        with translated(record.name):
            self._connection.wait(kept.snapshot.RevertToSnapshot_Task(), resource=record.name, job=job)
        return self._read(thing)

    @hookimpl
    def snapshot_delete(self, vm: str, snapshot: str, children: bool, job: Job[VM]) -> VM:
        """Delete a snapshot, its disks consolidated."""
        thing, record = self._changing(vm, "delete a snapshot of")
        self._snapshot(thing, vm, snapshot)
        job.report(f"deleting {snapshot}", 0.0)
        self._remove(thing, record.name, snapshot, children=children, job=job)
        return self._read(thing)

    def _remove(self, thing: Any, name: str, snapshot: str, *, children: bool, job: Job[Any] | None = None) -> None:
        kept = self._snapshot(thing, name, snapshot)
        with translated(name):
            self._connection.wait(kept.snapshot.RemoveSnapshot_Task(children, True), resource=name, job=job)
            if self._connection.read(thing, ["runtime.consolidationNeeded"]).get("runtime.consolidationNeeded"):
                self._connection.wait(thing.ConsolidateVMDisks_Task(), resource=name)

    def _tree(self, thing: Any) -> list[tuple[Any, str | None]]:
        kept = self._connection.read(thing, ["snapshot"]).get("snapshot")
        return list(self._walk(kept.rootSnapshotList if kept else ()))

    def _walk(self, tree: Sequence[Any], parent: str | None = None) -> Iterator[tuple[Any, str | None]]:
        for each in tree:
            yield each, parent
            yield from self._walk(each.childSnapshotList, each.name)

    def _known(self, tree: list[Any]) -> dict[Any, dict[str, Any]]:
        """Return what each snapshot kept of the configuration, in one call."""
        things = [each.snapshot for each in tree]
        return dict(self._connection.read_all(things, vim.vm.Snapshot, ["config.hardware.device"])) if things else {}

    def _snapshot(self, thing: Any, vm: str, snapshot: str) -> Any:
        tree = self._tree(thing)
        for each, _ in tree:
            if each.name == snapshot:
                return each
        raise _not_found(vm, snapshot, [each.name for each, _ in tree])

    def _check_tools(self, thing: Any, record: VM) -> None:
        if record.status != "running" or self._tools(thing) == "guestToolsNotRunning":
            raise GuestAgentUnavailableError(
                f"can't quiesce {record.name!r}: its VMware Tools do not run", resource=record.name, hint="leave quiesce out"
            )


def _not_found(vm: str, snapshot: str, names: list[str]) -> SnapshotNotFoundError:
    return SnapshotNotFoundError(
        f"{vm!r} has no snapshot {snapshot!r}", resource=vm, hint=f"it has: {', '.join(sorted(names)) or 'none'}"
    )


__all__ = ["VMwareSnapshots"]
