"""Internal snapshots: what this libvirt can do and revert again. What it can't is refused with the reason and version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import AlreadyExistsError, InvalidStateError, SnapshotError, SnapshotNotFoundError, UnsupportedOperationError
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.snapshots import Snapshot
from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.operations.host import version_text
from novacron_kvm.operations.parking import recover
from novacron_kvm.operations.records import vm_record
from novacron_kvm.xml.parsing import parse, serialise, text_of

if TYPE_CHECKING:
    from novacron.specs.snapshots import SnapshotSpec

STATUS = {"running": "running", "shutoff": "stopped", "paused": "suspended", "disk-snapshot": "disk"}


class KVMSnapshots:
    """Takes, lists, reverts to and deletes snapshots."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def snapshot_create(self, vm: str, spec: SnapshotSpec, job: Job[Snapshot]) -> Snapshot:
        """Take an internal snapshot, with the memory of a running VM."""
        with self._connection.slow() as slow:
            domain = self._connection.domain(vm, slow)
            record = vm_record(self._connection, domain, sizes=False)
            self._check(record, spec)
            with translated("snapshot_create", record.name):
                recover(domain, change=True)
                if spec.name in domain.snapshotListNames():
                    raise AlreadyExistsError(f"{record.name!r} has a snapshot {spec.name!r} already", resource=record.name)
            from lxml import etree

            root = etree.Element("domainsnapshot")
            etree.SubElement(root, "name").text = spec.name
            if spec.description:
                etree.SubElement(root, "description").text = spec.description
            job.raise_if_cancelled()
            job.report("saving memory and disks" if record.status == "running" else "saving disks")
            with translated("snapshot_create", record.name):
                made = domain.snapshotCreateXML(serialise(root), libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE)
                return self._record(domain, made)

    @hookimpl
    def snapshot_list(self, vm: str) -> list[Snapshot]:
        """List them, parents first."""
        domain = self._connection.domain(vm)
        with translated("snapshot_list", vm):
            found = self._all(domain)
        depth: dict[str | None, int] = {None: -1}
        for snapshot in found:
            depth[snapshot.name] = depth.get(snapshot.parent, 0) + 1
        return sorted(found, key=lambda s: (depth[s.name], s.created_at, s.name))

    @hookimpl
    def snapshot_get(self, vm: str, snapshot: str) -> Snapshot:
        """Return one."""
        domain = self._connection.domain(vm)
        with translated("snapshot_get", vm):
            found = self._all(domain)
        for one in found:
            if one.name == snapshot:
                return one
        raise _unknown(domain, snapshot, [one.name for one in found])

    def _all(self, domain: Any) -> list[Snapshot]:
        """Return all records, parents first; while the VM is being moved, of the snapshots that travel with it."""
        known = {p.name: p for p in (self._read(domain, p.definition, p.current) for p in recover(domain, change=False))}
        for snapshot in domain.listAllSnapshots(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL):
            record = self._record(domain, snapshot)
            known.setdefault(record.name, record)
        return list(known.values())

    @hookimpl
    def snapshot_revert(self, vm: str, snapshot: str, job: Job[VM]) -> VM:
        """Go back to a snapshot."""
        with self._connection.slow() as slow:
            domain = self._connection.domain(vm, slow)
            with translated("snapshot_revert", vm):
                recover(domain, change=True)
            found = self._find(domain, snapshot)
            record = self._record(domain, found)
            if record.kind == "external" and self._connection.libvirt_version < 10_009_000:
                raise UnsupportedOperationError(
                    f"libvirt {version_text(self._connection.libvirt_version)} can't revert to the external snapshot {snapshot!r}",
                    resource=domain.name(), hint="libvirt 10.9 and newer can",
                )  # fmt: skip
            job.report(f"reverting to {snapshot}")
            with translated("snapshot_revert", domain.name()):
                domain.revertToSnapshot(found, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)
            return vm_record(self._connection, domain)

    @hookimpl
    def snapshot_delete(self, vm: str, snapshot: str, children: bool, job: Job[VM]) -> VM:
        """Delete a snapshot; its image file must be there, for libvirt would drop the metadata in silence."""
        with self._connection.slow() as slow:
            domain = self._connection.domain(vm, slow)
            with translated("snapshot_delete", vm):
                recover(domain, change=True)
            found = self._find(domain, snapshot)
            job.report(f"deleting {snapshot}")
            with translated("snapshot_delete", domain.name()):
                found.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN if children else 0)
            return vm_record(self._connection, domain)

    def _check(self, record: VM, spec: SnapshotSpec) -> None:
        version = version_text(self._connection.libvirt_version)
        if record.status not in ("running", "suspended", "stopped", "crashed"):
            raise InvalidStateError(f"can't snapshot {record.name!r}: it is {record.status}", resource=record.name)
        if spec.kind == "external" or spec.quiesce:
            raise UnsupportedOperationError(
                "only internal snapshots are offered, without quiescing", resource=record.name, hint="leave kind out"
            )
        if record.status in ("running", "suspended") and spec.memory is False:
            raise UnsupportedOperationError(
                f"an internal snapshot of the running {record.name!r} keeps its memory", resource=record.name,
                hint="leave memory out, or stop the VM first",
            )  # fmt: skip
        if record.status in ("stopped", "crashed") and spec.memory:
            raise InvalidStateError(
                f"{record.name!r} is stopped: it has no memory to keep", resource=record.name, hint="start it first"
            )
        if record.firmware != "bios" and self._connection.libvirt_version < 10_009_000:
            raise UnsupportedOperationError(
                f"libvirt {version} can't snapshot the UEFI VM {record.name!r}",
                resource=record.name,
                hint="libvirt 10.9 and newer can",
            )
        disks = [d for d in record.disks or () if d.device == "disk" and not d.read_only]
        wrong = [d.target for d in disks if d.format != "qcow2"]
        if wrong:
            raise SnapshotError(
                f"disks of {record.name!r} that are not qcow2: {', '.join(wrong)}", resource=record.name, hint="convert them"
            )
        if not disks and record.status in ("running", "suspended"):
            raise SnapshotError(
                f"{record.name!r} has no disk to keep a snapshot in", resource=record.name, hint="attach a qcow2 disk"
            )

    def _find(self, domain: Any, snapshot: str) -> Any:
        try:
            return domain.snapshotLookupByName(snapshot)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT:
                with translated("snapshot_get", domain.name()):
                    raise
            raise _unknown(domain, snapshot, domain.snapshotListNames()) from error

    def _record(self, domain: Any, snapshot: Any) -> Snapshot:
        with translated("snapshot_get", domain.name()):
            return self._read(domain, snapshot.getXMLDesc(0), bool(snapshot.isCurrent()))

    def _read(self, domain: Any, definition: str, current: bool) -> Snapshot:
        root = parse(definition)
        kinds = {d.get("snapshot") for d in root.iterfind("disks/disk")}
        state = text_of(root, "state") or ""
        return Snapshot(
            name=text_of(root, "name") or "", vm=domain.UUIDString(), host=self._connection.name,
            created_at=datetime.fromtimestamp(int(text_of(root, "creationTime") or 0), UTC).isoformat(),
            status=STATUS.get(state, state), parent=text_of(root, "parent/name"), current=current,
            memory=text_of(root, "memory/@snapshot") in ("internal", "external"),
            kind="external" if "external" in kinds else "internal", description=text_of(root, "description") or "",
            disks=tuple(d.get("name") for d in root.iterfind("disks/disk") if d.get("snapshot") != "no"),
        )  # fmt: skip


def _unknown(domain: Any, snapshot: str, there: list[str]) -> SnapshotNotFoundError:
    name = domain.name()
    return SnapshotNotFoundError(
        f"{name!r} has no snapshot {snapshot!r}", resource=name, hint=f"it has: {', '.join(there) or 'none'}"
    )


__all__ = ["KVMSnapshots"]
