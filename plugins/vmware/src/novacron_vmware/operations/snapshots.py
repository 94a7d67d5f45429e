"""Snapshots: vSphere's own tree of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import (
    AlreadyExistsError,
    GuestAgentUnavailableError,
    InvalidSpecError,
    InvalidStateError,
    NotFoundError,
    SnapshotNotFoundError,
    SpecProblem,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.snapshots import Snapshot
from novacron.records.vm import VM, Status
from novacron_vmware.devices import disk_records
from novacron_vmware.errors import translated
from novacron_vmware.followed import SUMMARY
from novacron_vmware.gone import still_there
from novacron_vmware.names import plain_name
from novacron_vmware.records import AROUND, FULL, STATUSES, record_of, summary_record
from novacron_vmware.sdk import vim
from novacron_vmware.snapshots.sizes import snapshot_sizes
from novacron_vmware.storage.disk_users import refuse_shared
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron.specs.snapshots import SnapshotSpec

ALLOWED: tuple[Status, ...] = ("running", "suspended", "stopped")
"""The statuses in which a snapshot can be taken."""
TREE = ("config.instanceUuid", "snapshot", "layoutEx")
"""What is read of a VM for the records of its snapshots."""
AFTERWARDS = {**AROUND, vim.VirtualMachine: (*FULL, "runtime.consolidationNeeded")}
"""What is read of a VM that has lost a snapshot: its record, and whether its disks wait to be merged."""


class VMwareSnapshots(VMOperations):
    """Takes, lists, reverts to and deletes snapshots."""

    @hookimpl
    def snapshot_create(self, vm: str, spec: SnapshotSpec, job: Job[Snapshot]) -> Snapshot:
        """Create a snapshot. vSphere itself removes a failed one."""
        thing, record, tree = self._with_tree(vm, "snapshot", *ALLOWED)
        self._refuse_unfit(thing, record, spec)
        if any(plain_name(each.name) == spec.name for each, _ in tree):
            raise AlreadyExistsError(
                f"{record.name!r} has a snapshot {spec.name!r} already",
                resource=record.name,
                hint="give another name, or delete that one",
            )
        memory = record.status != "stopped" and not spec.quiesce if spec.memory is None else spec.memory
        job.report("taking the snapshot", 0.0)
        with translated(record.name):
            task = thing.CreateSnapshot_Task(spec.name, spec.description, memory, spec.quiesce)
            kept = self._connection.wait(task, resource=record.name, job=job)
        try:
            job.raise_if_cancelled()
            return still_there(each for each in self._records(self._connection.read(thing, TREE)) if each.id == kept._moId)
        except NotFoundError:
            raise  # another client has deleted the snapshot, or the VM with it
        except BaseException:
            self._remove(thing, record.name, kept, children=False)
            raise

    @hookimpl
    def snapshot_check(self, vm: str, spec: SnapshotSpec, status: Status) -> list[str]:
        """Run the checks of `snapshot_create`."""
        thing = self._find(vm)
        record = self._read(thing).replace(status=status)
        try:
            if status not in ALLOWED:
                raise InvalidStateError.of_status("snapshot", record.name, status, ALLOWED)
            self._refuse_unfit(thing, record, spec)
        except (InvalidSpecError, InvalidStateError, GuestAgentUnavailableError) as error:
            return [error.message]
        return []

    @hookimpl
    def snapshot_list(self, vm: str) -> list[Snapshot]:
        """List them, parents before children, then by time."""
        thing, known = self._connection.inventory.find_with(vm, {vim.VirtualMachine: (*SUMMARY, *TREE)})
        return self._records(known[thing])

    def _records(self, read: dict[str, Any]) -> list[Snapshot]:
        """Return the records of a VM's snapshots from what was read of it: `TREE`."""
        current = read["snapshot"].currentSnapshot if read.get("snapshot") else None
        tree = self._tree(read)
        known = self._known([each for each, _ in tree])
        sizes = snapshot_sizes(
            read.get("layoutEx"), [(each.snapshot, parent and parent.snapshot) for each, parent in tree], current
        )
        depth: dict[Any, int] = {None: 0}
        records = list[tuple[int, Snapshot]]()
        for each, parent in tree:
            depth[each.snapshot] = depth[parent and parent.snapshot] + 1
            devices = known.get(each.snapshot, {}).get("config.hardware.device") or ()
            memory = str(each.state) != "poweredOff"
            record = Snapshot(
                name=plain_name(each.name),
                vm=read["config.instanceUuid"],
                host=self._connection.name,
                created_at=each.createTime.isoformat(),
                status=STATUSES.get(str(each.state), "unknown") if memory else "stopped",
                parent=plain_name(parent.name) if parent else None,
                current=each.snapshot == current,
                memory=memory,
                kind="external",
                description=each.description or "",
                disks=tuple(d.target for d in disk_records(devices) if d.device == "disk"),
                id=each.snapshot._moId,
                parent_id=parent.snapshot._moId if parent else None,
                size_bytes=sizes.get(each.snapshot),
            )
            records.append((depth[each.snapshot], record))
        return [record for _, record in sorted(records, key=lambda each: (each[0], each[1].created_at, each[1].name))]

    @hookimpl
    def snapshot_get(self, vm: str, snapshot: str) -> Snapshot:
        """Return one."""
        listed = self.snapshot_list(vm)
        chosen = one_of(vm, snapshot, [(each.name, str(each.id)) for each in listed])
        return still_there(each for each in listed if each.id == chosen)

    @hookimpl
    def snapshot_revert(self, vm: str, snapshot: str, job: Job[VM]) -> VM:
        """Put everything back: disks, NICs, CPUs, memory size and power state. A suspended one is resumed and halted again."""
        thing, record, tree = self._with_tree(vm, "revert", *ALLOWED)
        kept = self._chosen(tree, vm, snapshot).snapshot
        job.report(f"reverting to {snapshot}", 0.0)
        with translated(record.name):
            self._connection.wait(kept.RevertToSnapshot_Task(), resource=record.name, job=job)
        return self._read(thing)

    @hookimpl
    def snapshot_delete(self, vm: str, snapshot: str, children: bool, job: Job[VM]) -> VM:
        """Delete a snapshot, its disks consolidated. It is refused while linked clones of another VM are based on its disks."""
        thing, record, tree = self._with_tree(vm, "delete a snapshot of")
        chosen = self._chosen(tree, vm, snapshot)
        kept, gone = chosen.snapshot, [chosen]
        if children:
            gone += [child for child, _ in self._walk(chosen.childSnapshotList)]
        devices = [d for read in self._known(gone).values() for d in read.get("config.hardware.device") or ()]
        files = [d.backing.fileName for d in devices if isinstance(d, vim.vm.device.VirtualDisk)]
        refuse_shared(self._connection, thing, record.name, "delete a snapshot of", files, "delete that VM first")
        job.report(f"deleting {snapshot}", 0.0)
        return self._remove(thing, record.name, kept, children=children, job=job)

    def _remove(self, thing: Any, name: str, kept: Any, *, children: bool, job: Job[Any] | None = None) -> VM:
        """Delete a snapshot; return the VM without it."""
        with translated(name):
            self._connection.wait(kept.RemoveSnapshot_Task(children, True), resource=name, job=job)
            known = self._connection.finder.ancestors([thing], AFTERWARDS)
            if known.get(thing, {}).get("runtime.consolidationNeeded"):
                self._connection.wait(thing.ConsolidateVMDisks_Task(), resource=name)
                return self._read(thing)
        return record_of(self._connection, thing, known)

    def _with_tree(self, vm: str, verb: str, *statuses: str) -> tuple[Any, VM, list[tuple[Any, Any]]]:
        """Return a VM that may be changed now, as `_changing` does, with what a listing shows of it and its snapshots, in one call."""
        thing, known = self._connection.inventory.find_with(vm, {vim.VirtualMachine: (*SUMMARY, "snapshot")})
        record = summary_record(self._connection.name, known[thing], None, None)
        if statuses and record.status not in statuses:
            raise InvalidStateError.of_status(verb, record.name, record.status, statuses)
        return thing, record, self._tree(known[thing])

    def _tree(self, read: dict[str, Any]) -> list[tuple[Any, Any]]:
        """Return each snapshot of a VM with its parent."""
        kept = read.get("snapshot")
        return list(self._walk(kept.rootSnapshotList if kept else ()))

    def _walk(self, tree: Sequence[Any], parent: Any = None) -> Iterator[tuple[Any, Any]]:
        """Yield each node of the tree with its parent node."""
        for each in tree:
            yield each, parent
            yield from self._walk(each.childSnapshotList, each)

    def _known(self, tree: list[Any]) -> dict[Any, dict[str, Any]]:
        """Return what each snapshot kept of the configuration, in one call."""
        things = [each.snapshot for each in tree]
        return dict(self._connection.read_all(things, vim.vm.Snapshot, ["config.hardware.device"])) if things else {}

    def _chosen(self, tree: list[tuple[Any, Any]], vm: str, snapshot: str) -> Any:
        """Return the entry of a VM's tree of snapshots that a name or id names."""
        by_id = {each.snapshot._moId: each for each, _ in tree}
        return by_id[one_of(vm, snapshot, [(plain_name(each.name), key) for key, each in by_id.items()])]

    def _refuse_unfit(self, thing: Any, record: VM, spec: SnapshotSpec) -> None:
        """Refuse a snapshot that vSphere can't take of a VM of that status."""
        if spec.kind == "internal":
            problem = SpecProblem("kind", "internal", "external: vSphere keeps snapshots in files of their own")
            raise InvalidSpecError(
                f"vSphere can't take that snapshot of {record.name!r}", resource=record.name, problems=[problem]
            )
        if spec.memory and record.status == "stopped":
            raise InvalidStateError.of_status("keep the memory of", record.name, record.status, ("running", "suspended"))
        if spec.quiesce:
            self._check_tools(thing, record)

    def _check_tools(self, thing: Any, record: VM) -> None:
        if record.status != "running" or self._tools(thing) == "guestToolsNotRunning":
            raise GuestAgentUnavailableError(
                f"can't quiesce {record.name!r}: its VMware Tools do not run", resource=record.name, hint="leave quiesce out"
            )


def one_of(vm: str, snapshot: str, known: Sequence[tuple[str, str]]) -> str:
    """Return the id of the snapshot that a text names, by name or id.

    Args:
        vm: the VM, for errors.
        snapshot: the text.
        known: names and ids.

    Raises:
        SnapshotNotFoundError
        InvalidSpecError: several have that name; vSphere allows it.
    """
    ids = [key for name, key in known if name == snapshot] or [key for _, key in known if key == snapshot]
    if len(ids) > 1:
        raise InvalidSpecError(
            f"{vm!r} has {len(ids)} snapshots named {snapshot!r}",
            resource=vm,
            hint=f"name one by its id: {', '.join(ids)}",
            details={"ids": ids},
        )
    if not ids:
        names = ", ".join(sorted({name for name, _ in known}))
        raise SnapshotNotFoundError(f"{vm!r} has no snapshot {snapshot!r}", resource=vm, hint=f"it has: {names or 'none'}")
    return ids[0]


__all__ = ["VMwareSnapshots", "one_of"]
