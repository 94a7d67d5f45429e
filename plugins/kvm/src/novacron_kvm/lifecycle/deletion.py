"""Removes a VM: its definition with all that belongs to it, then the files that were made for it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import libvirt
import msgspec

from novacron.errors import HostConnectionError, NovaCronError, OperationTimeoutError, VMNotFoundError
from novacron.records.vm import VM, Deleted
from novacron_kvm.connection import KVMConnection
from novacron_kvm.domains.metadata import facts_of
from novacron_kvm.domains.states import STOPPED, require_status
from novacron_kvm.errors import mapped, translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.storage import deletion_notes
from novacron_kvm.storage.deletion_notes import Note
from novacron_kvm.storage.held_files import destroying
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.storage.luks import forget_secrets
from novacron_kvm.storage.other_hosts import look_elsewhere
from novacron_kvm.storage.state_files import foreign_variables
from novacron_kvm.storage.switches import settle_switches
from novacron_kvm.storage.volume_files import find_path, needed_elsewhere
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import parse


def delete_vm(connection: KVMConnection, vm: str, keep_disks: bool, force: bool) -> Deleted:
    """Remove a VM. Files that another VM or another host uses, or may use because it does not answer, are kept.

    Raises:
        InvalidStateError: the VM is not stopped, and `force` is not set.
    """
    with connection.dedicated() as conn:
        domain = connection.domain(vm, conn)
        settle_switches(connection, domain.UUIDString())
        record = vm_record(connection, domain, sizes=False)
        with translated(resource=record.name):  # before: a transient VM is gone once it is powered off
            facts = facts_of(domain)
        if not force:
            require_status("delete", record, (*STOPPED, "saved"), otherwise="force=True (--force) stops it first")
    own = [disk.source for disk in record.disks or () if disk.source]
    files = [*own, *sorted({*facts.made} - {*own})]  # what a disk is linked to comes after it
    deletion = _Deletion(connection, record, facts, files, keep_disks=keep_disks, force=force)
    try:
        connection.resumable(deletion.finish)
    except (HostConnectionError, OperationTimeoutError) as error:
        if deletion.begun and not keep_disks and facts.made:
            error.details["left"] = [*facts.made]
            error.hint = (
                f"if {record.name!r} is gone, its files may be left behind: {', '.join(sorted(facts.made))}; {error.hint}"
            )
        raise
    finish_interrupted(connection)
    return deletion.result()


def finish_interrupted(connection: KVMConnection) -> None:
    """Delete the files of VMs whose deletion was killed on this host, unless something needs or has changed them since.

    The VM that was asked for is gone; a failure here is no failure of that, and leaves the note for the next time, but not the others.
    """
    failures = (NovaCronError, libvirt.libvirtError)  # also BusyError: the process that deletes the VM is at it
    with suppress(*failures), connection.dedicated() as conn:
        for note in [*deletion_notes.notes(conn)]:
            with suppress(*failures), destroying(connection, conn, note.files, patience=0.0):
                if note in deletion_notes.notes(conn):
                    _finish(connection, conn, note)


def _finish(connection: KVMConnection, conn: Any, note: Note) -> None:
    volumes = {path: volume for path in note.files if (volume := find_path(conn, path)) is not None}
    if volumes and not note.certain:
        return
    files, same = HostFiles(conn), {path for path in volumes if deletion_notes.last_change(conn, path) == note.files[path]}
    going = same - needed_elsewhere(files, same)
    elsewhere = look_elsewhere(connection, conn, going, files=files)
    for path in going - elsewhere.keeping:
        volumes[path].delete(0)
    if not elsewhere.silent:
        deletion_notes.remove(conn, note.vm)


class _Deletion:
    """The removal of a VM. `finish` may be called again on a new connection: it goes on where the last one was lost.

    Attributes:
        begun: whether libvirt was asked to stop the VM or to remove its definition.
    """

    def __init__(
        self, connection: KVMConnection, record: VM, facts: VMFacts, files: list[str], *, keep_disks: bool, force: bool
    ) -> None:
        self.begun = False
        self._connection, self._record, self._facts, self._files = connection, record, facts, files
        self._keep_disks, self._force = keep_disks, force
        self._variables: str | None = None
        self._going: list[str] | None = None
        self._tried: set[str] = set()
        self._gone: set[str] = set()
        self._hint: str | None = None

    def finish(self, conn: Any) -> None:
        """Stop the VM if that was asked for, remove the definition, then the files that nothing else needs."""
        made = () if self._keep_disks else self._facts.made
        with translated(resource=self._record.name), destroying(self._connection, conn, made):
            self._end(conn)
            if self._going is None:
                self._going = self._choose(conn)
            for path in self._going:
                if path not in self._gone and self._delete(conn, path):
                    self._gone.add(path)
            deletion_notes.remove(conn, self._record.id)

    def result(self) -> Deleted:
        """Return what was removed and what was kept."""
        kept = [self._variables] if self._variables else []
        return Deleted(
            name=self._record.name,
            id=self._record.id,
            removed=(f"definition of {self._record.name}", *(path for path in self._files if path in self._gone)),
            kept=(*kept, *(path for path in self._files if path not in self._gone)),
            hint=self._hint,
        )

    def _end(self, conn: Any) -> None:
        try:
            domain = self._connection.domain(self._record.id, conn)
        except VMNotFoundError:
            if not self.begun:
                raise
            return  # libvirt did it, and its answer was lost
        self.begun = True
        # before the definition goes, which alone says which secrets are the VM's; the next start of a VM that stays gives them again
        if not self._record.persistent:
            forget_secrets(conn, self._facts.secrets)
        if self._force and domain.isActive():
            destroy(domain, check=True)
        if self._record.persistent:
            forget_secrets(conn, self._facts.secrets)
        made = () if self._keep_disks else self._facts.made
        note = Note(self._record.id, self._record.name, {path: deletion_notes.last_change(conn, path) or "" for path in made})
        if made:
            deletion_notes.write(conn, note)
        else:
            deletion_notes.remove(conn, self._record.id)  # of a deletion that was killed, which would have deleted the files
        if self._record.persistent:
            try:
                self._variables = undefine(domain, check=True)
            except libvirt.libvirtError:
                deletion_notes.remove(conn, self._record.id)
                raise
        if made:
            deletion_notes.write(conn, msgspec.structs.replace(note, certain=True))

    def _choose(self, conn: Any) -> list[str]:
        """Return the files that were made for the VM and that nothing else needs, in the order in which they are deleted."""
        made = {*self._facts.made}
        if self._keep_disks or not made:
            return []
        files = HostFiles(conn)
        going = made - needed_elsewhere(files, made)
        elsewhere = look_elsewhere(self._connection, conn, going, files=files)
        self._hint = elsewhere.hint(files)
        return [path for path in self._files if path in going - elsewhere.keeping]

    def _delete(self, conn: Any, path: str) -> bool:
        """Delete a file; whether it is gone. Raises libvirtError if the connection was lost."""
        volume = find_path(conn, path)
        if volume is None:
            return path in self._tried  # libvirt did it, and its answer was lost
        self._tried.add(path)
        try:
            volume.delete(0)
        except libvirt.libvirtError as error:
            if isinstance(mapped(error), (HostConnectionError, OperationTimeoutError)):
                raise
            return False
        return True


def destroy(domain: Any, *, check: bool = False) -> None:
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        gone = error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
        if check and not gone and domain.isActive():
            raise


def undefine(domain: Any, *, check: bool = False) -> str | None:
    """Remove a definition with managed save, snapshots' metadata, its own NVRAM and TPM state; return the NVRAM that is not its own."""
    kept, keep = None, True
    try:
        kept = foreign_variables(domain.connect(), parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
        keep = kept is not None
    except libvirt.libvirtError:
        pass  # it is gone
    flags = (
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | (libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM if keep else libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    )
    for attempt in (flags, libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA, 0):
        try:
            domain.undefineFlags(attempt)
            return kept
        except libvirt.libvirtError as error:
            unsupported = error.get_error_code() in (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_NO_SUPPORT)
            if not unsupported or not attempt:
                if check:
                    raise
                return kept
    return kept


__all__ = ["delete_vm", "destroy", "undefine"]
