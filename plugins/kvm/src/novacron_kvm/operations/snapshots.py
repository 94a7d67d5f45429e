"""Snapshots.

Internal ones, within qcow2 files, are libvirt's own. What they can't do is done by external ones, or refused with the reason.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import libvirt

from novacron.errors import (
    AlreadyExistsError,
    InvalidSpecError,
    InvalidStateError,
    NovaCronError,
    SnapshotError,
    SnapshotNotFoundError,
    SpecProblem,
    UnsupportedOperationError,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.snapshots import Checkpoint, Snapshot
from novacron.records.vm import VM, Status
from novacron_kvm.connection import KVMConnection
from novacron_kvm.definitions import changing
from novacron_kvm.domains.metadata import facts_of, set_facts
from novacron_kvm.domains.snapshots import is_current, snapshots_of
from novacron_kvm.domains.states import STOPPED, refuse_saved, refuse_suspended_since_migration, require_status
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.jobs.block_jobs import refuse_forgotten_jobs
from novacron_kvm.jobs.domain_jobs import forget_completed, job_progress
from novacron_kvm.snapshots import external as external
from novacron_kvm.snapshots.checkpoints import checkpoints_of, listed
from novacron_kvm.snapshots.merging import definition_then, disk_files
from novacron_kvm.snapshots.metadata import recover
from novacron_kvm.storage.disk_users import refuse_disks_in_use
from novacron_kvm.storage.luks import provide_secrets, secret_names
from novacron_kvm.versions import version_text
from novacron_kvm.xml.parsing import parse, serialise, text_of

if TYPE_CHECKING:
    from novacron.specs.snapshots import SnapshotSpec

STATUS = {"running": "running", "shutoff": "stopped", "paused": "suspended", "disk-snapshot": "stopped"}
ACTIVE = ("running", "suspended")
Kind = Literal["internal", "external"]


class KVMSnapshots:
    """Takes, lists, reverts to and deletes snapshots."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def snapshot_create(self, vm: str, spec: SnapshotSpec, job: Job[Snapshot]) -> Snapshot:
        """Take a snapshot of the kind that was asked for, or that can do what was asked for."""
        with self._connection.dedicated() as conn, ExitStack() as undo:
            domain = self._connection.domain(vm, conn)
            record = vm_record(self._connection, domain, sizes=False)
            require_status("take a snapshot of", record, (*ACTIVE, *STOPPED))
            with translated(resource=record.name):
                recover(domain, change=True)
                if spec.name in [root.findtext("name") for _, root in snapshots_of(domain)]:
                    raise AlreadyExistsError(f"{record.name!r} has a snapshot {spec.name!r} already", resource=record.name)
                kind = self._checked_kind(conn, domain, record, spec)
                job.raise_if_cancelled()
                undo.callback(
                    self._connection.ensure_undone, partial(_let_go_on, record.id, record.status), f"{record.name!r} suspended"
                )
                if kind == "external":
                    external.end_interrupted_jobs(domain, job)
                    memory = _keeps_memory(record, spec)
                    made = external.take(self._connection, conn, domain, record, spec, memory=memory, job=job)
                else:
                    saving = "saving memory and disks" if record.status in ACTIVE else "saving disks"
                    with job_progress(self._connection, record.id, job, saving):
                        made = domain.snapshotCreateXML(
                            serialise(external.asked(spec)), libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE
                        )
                try:
                    job.raise_if_cancelled()
                except NovaCronError:  # it was quicker than the wish to cancel it
                    self._delete(conn, domain, [made], Job("snapshot_delete", record.name))
                    raise
                undo.pop_all()
                return self._record(domain, made)

    @hookimpl
    def snapshot_check(self, vm: str, spec: SnapshotSpec, status: Status) -> list[str]:
        """Run the checks of `snapshot_create`."""
        with self._connection.dedicated() as conn:
            domain = self._connection.domain(vm, conn)
            record = vm_record(self._connection, domain, sizes=False).replace(status=status)
            try:
                require_status("take a snapshot of", record, (*ACTIVE, *STOPPED))
                with translated("snapshot_check", record.name):
                    self._checked_kind(conn, domain, record, spec)
            except (InvalidSpecError, InvalidStateError, SnapshotError, UnsupportedOperationError) as error:
                return [error.message]
        return []

    @hookimpl
    def snapshot_list(self, vm: str) -> list[Snapshot]:
        """List them, parents first."""
        domain = self._connection.domain(vm)
        with translated(resource=vm):
            found = self._all(domain)
        depth: dict[str | None, int] = {None: -1}
        for snapshot in found:
            depth[snapshot.name] = depth.get(snapshot.parent, 0) + 1
        return sorted(found, key=lambda s: (depth[s.name], s.created_at, s.name))

    @hookimpl
    def checkpoint_list(self, vm: str) -> list[Checkpoint]:
        """List the checkpoints, the oldest first."""
        domain = self._connection.domain(vm)
        with translated(resource=vm):
            return checkpoints_of(domain, self._connection.name)

    @hookimpl
    def snapshot_get(self, vm: str, snapshot: str) -> Snapshot:
        """Return one."""
        domain = self._connection.domain(vm)
        with translated(resource=vm):
            found = self._all(domain)
        for one in found:
            if one.name == snapshot:
                return one
        raise _unknown(domain, snapshot, [one.name for one in found])

    def _all(self, domain: Any) -> list[Snapshot]:
        """Return all records, parents first; while the VM is being moved, of the snapshots that travel with it."""
        known = {p.name: p for p in (self._read(domain, parse(p.definition), p.current) for p in recover(domain, change=False))}
        for snapshot, root in snapshots_of(domain):
            known.setdefault(snapshot.getName(), self._read(domain, root, is_current(snapshot)))
        return list(known.values())

    @hookimpl
    def snapshot_revert(self, vm: str, snapshot: str, job: Job[VM]) -> VM:
        """Go back to a snapshot."""
        with self._connection.dedicated() as conn:
            domain = self._connection.domain(vm, conn)
            with translated(resource=vm):
                recover(domain, change=True)
                found = self._find(domain, snapshot)
                _refuse_checkpoints(domain)
                job.report(f"reverting to {snapshot}")
                if external.is_external(parse(found.getXMLDesc(0))):
                    external.revert(self._connection, conn, domain, found, job)
                else:
                    disks = definition_then(parse(found.getXMLDesc(0))).iterfind("devices/disk")
                    refuse_disks_in_use(self._connection, conn, domain.name(), disks, but=domain.UUIDString())
                    if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
                        external.power_off(domain)
                    provide_secrets(self._connection.secrets, conn, secret_names(domain))
                    with changing(self._connection, domain):
                        own = facts_of(domain)
                        domain.revertToSnapshot(found, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)
                        set_facts(domain, own)  # of now: which files go with it, above all
                forget_completed(domain)  # another QEMU runs than the one that came by a migration
        return vm_record(self._connection, self._connection.domain(vm))

    @hookimpl
    def snapshot_delete(self, vm: str, snapshot: str, children: bool, job: Job[VM]) -> VM:
        """Delete a snapshot; the files of an external one are merged."""
        with self._connection.dedicated() as conn:
            domain = self._connection.domain(vm, conn)
            with translated(resource=vm):
                recover(domain, change=True)
                found = self._find(domain, snapshot)
                job.report(f"deleting {snapshot}")
                going = [found]
                if children:
                    flags = libvirt.VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS | libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL
                    going += found.listAllChildren(flags)
                self._delete(conn, domain, going, job)
        return vm_record(self._connection, self._connection.domain(vm))

    def _delete(self, conn: Any, domain: Any, going: list[Any], job: Job[Any]) -> None:
        """Delete a snapshot, and with it the rest of `going`, which are all that descend from it."""
        if not external.is_external(parse(going[0].getXMLDesc(0))):
            _refuse_other_disks(domain, going)
            going[0].delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN if going[1:] else 0)
            return
        refuse_saved(domain, "merge the disks of")
        mixed = [one.getName() for one in going if not external.is_external(parse(one.getXMLDesc(0)))]
        if mixed:
            raise UnsupportedOperationError(
                f"can't delete {going[0].getName()!r} with its children: {', '.join(mixed)} are internal, within its files",
                resource=domain.name(),
                hint="delete those first",
            )
        external.delete(self._connection, conn, domain, going, job)

    def _checked_kind(self, conn: Any, domain: Any, record: VM, spec: SnapshotSpec) -> Kind:
        """Return the kind of snapshot to take of a VM; refuse what can't be taken or not be reverted to."""
        kinds: set[Kind] = {"external" if external.is_external(root) else "internal" for _, root in snapshots_of(domain)}
        kind = self._kind(record, spec, kinds)
        refuse_suspended_since_migration(domain, "take a snapshot of")
        refuse_forgotten_jobs(domain, "take a snapshot of")
        if kind == "external":
            external.refuse_impossible(self._connection, conn, domain, record, memory=_keeps_memory(record, spec))
        return kind

    def _kind(self, record: VM, spec: SnapshotSpec, there: set[Kind]) -> Kind:
        """Return the kind of snapshot that does what was asked; refuse what none can do."""
        active = record.status in ACTIVE
        if not active and spec.memory:
            raise InvalidStateError(
                f"{record.name!r} is stopped: it has no memory to keep", resource=record.name, hint="start it first"
            )
        if spec.quiesce and spec.memory:
            raise InvalidSpecError(
                "invalid SnapshotSpec",
                resource=record.name,
                problems=[SpecProblem("quiesce", "true", "without memory: what the guest has not written is in its memory")],
            )
        if spec.quiesce and record.status != "running":
            raise InvalidStateError(
                f"can't quiesce {record.name!r}: it is {record.status}", resource=record.name, hint="leave quiesce out"
            )
        encrypted = [disk.target for disk in record.disks or () if disk.encrypted]
        if active and encrypted and spec.kind != "external" and not spec.quiesce and spec.memory is not False:
            raise UnsupportedOperationError(
                f"can't take an internal snapshot of {record.name!r} while it is {record.status}: QEMU crashes when it saves memory "
                f"into an encrypted disk ({', '.join(encrypted)})",
                resource=record.name,
                hint="stop the VM first; an external snapshot would write the disk's new content in the clear",
            )
        reason = self._why_not_internal(record, spec, there)
        if reason is None and spec.kind == "external" and "internal" in there:
            raise SnapshotError(
                f"{record.name!r} has internal snapshots: reverting to them would not find them in an overlay",
                resource=record.name,
                hint="leave kind out, or delete those first",
            )
        if reason is None:
            return spec.kind or "internal"
        if spec.kind == "internal":
            raise reason
        if "internal" in there:
            reason.hint = "delete its internal snapshots first: the two kinds can't be mixed"
            raise reason
        return "external"

    def _why_not_internal(
        self, record: VM, spec: SnapshotSpec, there: set[Kind]
    ) -> SnapshotError | UnsupportedOperationError | None:
        active = record.status in ACTIVE
        if "external" in there:
            return SnapshotError(f"{record.name!r} has external snapshots", resource=record.name, hint="leave kind out")
        if spec.quiesce or (active and spec.memory is False):
            return UnsupportedOperationError(
                f"an internal snapshot of the running {record.name!r} keeps its memory",
                resource=record.name,
                hint="leave kind out",
            )
        if record.firmware != "bios" and self._connection.libvirt_version < 10_009_000:
            return UnsupportedOperationError(
                f"libvirt {version_text(self._connection.libvirt_version)} can't take an internal snapshot of the UEFI VM {record.name!r}",
                resource=record.name,
                hint="leave kind out; libvirt 10.9 and newer can",
            )
        disks = [d for d in record.disks or () if d.device == "disk" and not d.read_only]
        wrong = [d.target for d in disks if d.format != "qcow2"]
        if wrong:
            return SnapshotError(
                f"disks of {record.name!r} that are not qcow2: {', '.join(wrong)}",
                resource=record.name,
                hint="leave kind out, or convert them",
            )
        if not disks and active:
            return SnapshotError(
                f"{record.name!r} has no disk to keep a snapshot in", resource=record.name, hint="attach a qcow2 disk"
            )
        return None

    def _find(self, domain: Any, snapshot: str) -> Any:
        try:
            return domain.snapshotLookupByName(snapshot)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT:
                with translated(resource=domain.name()):
                    raise
            raise _unknown(domain, snapshot, domain.snapshotListNames()) from error

    def _record(self, domain: Any, snapshot: Any) -> Snapshot:
        with translated(resource=domain.name()):
            return self._read(domain, parse(snapshot.getXMLDesc(0)), bool(snapshot.isCurrent()))

    def _read(self, domain: Any, root: Any, current: bool) -> Snapshot:
        kinds = {d.get("snapshot") for d in root.iterfind("disks/disk")}
        state = text_of(root, "state") or ""
        return Snapshot(
            name=text_of(root, "name") or "",
            vm=domain.UUIDString(),
            host=self._connection.name,
            created_at=datetime.fromtimestamp(int(text_of(root, "creationTime") or 0), UTC).isoformat(),
            status=STATUS.get(state, state),
            parent=text_of(root, "parent/name"),
            current=current,
            memory=text_of(root, "memory/@snapshot") in ("internal", "external"),
            kind="external" if "external" in kinds else "internal",
            description=text_of(root, "description") or "",
            disks=tuple(d.get("name") for d in root.iterfind("disks/disk") if d.get("snapshot") != "no"),
        )


def _keeps_memory(record: VM, spec: SnapshotSpec) -> bool:
    return record.status in ACTIVE and spec.memory is not False and not spec.quiesce


def _refuse_other_disks(domain: Any, going: list[Any]) -> None:
    """Refuse to delete internal snapshots, before the first is, that are within disks which a running VM does not have any more."""
    if not domain.isActive():
        return
    now = disk_files(parse(domain.XMLDesc(0)), domain.connect())
    for root in (parse(one.getXMLDesc(0)) for one in going):
        then = disk_files(definition_then(root), domain.connect())
        kept = [d.get("name") for d in root.iterfind("disks/disk[@snapshot='internal']")]
        if other := [target for target in kept if then.get(target) != now.get(target)]:
            raise InvalidStateError(
                f"can't delete {text_of(root, 'name')!r} while {domain.name()!r} runs: it is in disks that the VM has not now: "
                + ", ".join(other),
                resource=domain.name(),
                hint="stop the VM first",
            )


def _refuse_checkpoints(domain: Any) -> None:
    """Refuse to revert a VM that has checkpoints, before it is powered off.

    QEMU can't load an internal snapshot into a disk with dirty bitmaps, and libvirt has powered the VM off by then. After reverting to an
    external snapshot the bitmaps would tell an incremental backup of blocks that are not the VM's any more.
    """
    names = [checkpoint.getName() for checkpoint in listed(domain)]
    if names:
        raise InvalidStateError(
            f"can't revert {domain.name()!r}: it has checkpoints, whose dirty bitmaps are in its disks: {', '.join(sorted(names))}",
            resource=domain.name(),
            hint="delete the checkpoints first (virsh checkpoint-delete); the next backup must be a full one",
        )


def _let_go_on(identity: str, status: str, connection: Any) -> None:
    """Resume a VM that ran, and that a daemon which died in the middle left halted."""
    domain = connection.lookupByUUIDString(identity)
    if status == "running" and domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
        domain.resume()


def _unknown(domain: Any, snapshot: str, there: list[str]) -> SnapshotNotFoundError:
    name = domain.name()
    return SnapshotNotFoundError(
        f"{name!r} has no snapshot {snapshot!r}", resource=name, hint=f"it has: {', '.join(there) or 'none'}"
    )


__all__ = ["KVMSnapshots"]
