"""What a migration has to take along beside the VM's definition and memory.

Without shared storage those are its disks. Of a running VM libvirt copies them, into files that are made at the destination beforehand: it
makes some itself, but leaves them there when the migration fails. Of a stopped VM libvirt moves nothing but the definition: disks, UEFI
variables and the TPM's state are sent from here, over the two hosts' connections.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import libvirt

from novacron.errors import BusyError, InvalidStateError
from novacron.jobs import Job
from novacron.records.disks import Disk
from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.migration.prechecks import folder_pool, is_copied
from novacron_kvm.storage.held_files import destroying, reading
from novacron_kvm.storage.host_files import HostFiles
from novacron_kvm.storage.other_hosts import look_elsewhere
from novacron_kvm.storage.state_files import (
    TPM_FOLDER,
    StateFile,
    owns_variables,
    read_state,
    remove_state,
    state_folders,
    write_state,
)
from novacron_kvm.storage.streams import relay
from novacron_kvm.storage.volume_files import create_whole, find_path, needed_elsewhere, remove_volume, volume_record
from novacron_kvm.xml.parsing import parse
from novacron_kvm.xml.storage import volume_xml

if TYPE_CHECKING:
    from novacron.specs.migration import MigrationSpec


class Kept(NamedTuple):
    """The files that a VM left at the source because something may need them, and in words what deletes them later."""

    files: tuple[str, ...]
    hint: str | None


class TransferredFiles:
    """What of a VM is at both hosts while it moves: disks by path, and state files."""

    def __init__(self, source: KVMConnection, destination: KVMConnection) -> None:
        self._source, self._destination = source, destination
        self._disks: list[str] = []
        self._sent: list[StateFile] = []
        self._own: list[StateFile] = []

    def settle(self, vm: str, made: Iterable[str], *, arrived: bool) -> Kept:
        """Delete what is left on the side that the VM is not on; at the source only what was made for it (`made`) and its state.

        A file stays at the source if something else needs it there or on another host of the fleet, if such a host does not answer, or if
        another process works with it.

        Args:
            vm: the UUID of the VM. Its disks at the destination are other files, which were made for the migration.
        """
        if not arrived:
            for path in self._disks:
                _remove(self._destination, path)
            if self._sent:
                with self._destination.dedicated() as there:
                    remove_state(there, self._sent)
            return Kept((), None)
        kept = self._leave(vm, {*self._disks} & {*made})
        if self._own:
            with self._source.dedicated() as here:
                remove_state(here, self._own)
        return kept

    def _leave(self, vm: str, own: set[str]) -> Kept:
        """Delete the VM's files at the source that nothing else needs. The VM has moved, whatever becomes of them."""
        if not own:
            return Kept((), None)
        with self._source.dedicated() as here, ExitStack() as held:
            try:
                held.enter_context(destroying(self._source, here, own))
            except BusyError as error:
                return Kept(
                    tuple(sorted(own)), f"{error}; delete what is left at {self._source.name} later: `novacron volume delete`"
                )
            files = HostFiles(here)
            going = own - needed_elsewhere(files, own)
            elsewhere = look_elsewhere(self._source, here, going, but=vm, files=files)
            for path in going - elsewhere.keeping:
                _remove(self._source, path)
            kept = tuple(sorted((own - going) | (going & elsewhere.keeping)))
            return Kept(kept, elsewhere.hint(files, host=self._source.name))

    def take_disks(self, record: VM, spec: MigrationSpec, job: Job[Any]) -> None:
        """Make a file at the destination for each disk that is to be copied; a stopped VM's with its content."""
        if spec.storage == "shared":
            return
        for disk in record.disks or ():
            if is_copied(disk) and disk.source and disk.source.startswith("/"):
                pool = folder_pool(self._destination.read, disk.source)  # the pre-check has seen it
                if record.status == "stopped":
                    self._send(disk.source, pool, job)
                else:
                    self._make(disk.source, pool, self._empty(disk, spec))

    def take_state(self, definition: Any, *, stopped: bool) -> None:
        """Send a stopped VM's state files, and note those that a running VM's move leaves behind.

        A file that both hosts have may well be one and the same, on storage that they share: it is left alone on both sides. Only of a
        stopped VM it is certain that two files which differ are two.

        Raises:
            InvalidStateError: a stopped VM names UEFI variables that may belong to somebody else, and the destination does not have them.
        """
        if not state_folders(definition):
            return
        with self._source.dedicated() as here, self._destination.dedicated() as there:
            ours, theirs = read_state(here, definition), read_state(there, definition)
            known = {(file.folder, file.name): file.content for file in theirs}
            self._own = [f for f in ours if (f.folder, f.name) not in known or (stopped and known[f.folder, f.name] != f.content)]
            if not owns_variables(here, definition):
                self._own = [file for file in self._own if _movable(file, stopped=stopped)]
            if stopped:
                self._sent = [f for f in self._own if (f.folder, f.name) not in known]
                write_state(there, self._own)

    def _make(self, path: str, pool: Any, definition: str) -> Any:
        """Make a file at the destination, and note that it is ours; one that somebody else has made since the pre-check is not."""
        made = create_whole(self._destination, pool, path.rpartition("/")[2], lambda: pool.createXML(definition, 0))
        self._disks.append(path)
        return made

    def _empty(self, disk: Disk, spec: MigrationSpec) -> str:
        """Return the definition of an empty file like a disk's; above what it is linked to when only what is above is copied."""
        backing = None
        if spec.storage == "copy-top" and disk.backing:
            volume = find_path(self._destination.read, disk.backing)
            backing = disk.backing, volume_record(self._destination.name, volume).format if volume is not None else "raw"
        return volume_xml((disk.source or "").rpartition("/")[2], disk.size_bytes or 0, disk.format or "raw", backing)

    def _send(self, path: str, pool: Any, job: Job[Any]) -> None:
        """Send a file as it is, whatever format it has: a qcow2 file takes its internal snapshots along."""
        volume = find_path(self._source.read, path)
        size = volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2]  # type: ignore[union-attr]  # the pre-check has seen it
        with self._source.dedicated() as here, self._destination.dedicated() as there:
            definition = volume_xml(path.rpartition("/")[2], size, "raw", None)
            target = self._make(path, there.storagePoolLookupByName(pool.name()), definition)
            with reading(self._source, here, [path]):  # another process may start the VM
                relay(here, here.storageVolLookupByPath(path), there, target, job)


def transfer_files(
    source: KVMConnection, destination: KVMConnection, domain: Any, record: VM, spec: MigrationSpec, job: Job[Any]
) -> TransferredFiles:
    """Take along what libvirt does not; all of it or nothing. Raises libvirtError, NovaCronError."""
    transferred, stopped = TransferredFiles(source, destination), record.status == "stopped"
    definition = parse(domain.XMLDesc(0 if not stopped else libvirt.VIR_DOMAIN_XML_INACTIVE))
    if stopped:  # what is sent from here ends with the whole migration's time
        end = time.monotonic() + spec.deadline
        job.deadline = end if job.deadline is None else min(job.deadline, end)
    try:
        transferred.take_state(definition, stopped=stopped)
        transferred.take_disks(record, spec, job)
    except Exception:
        transferred.settle(domain.UUIDString(), [], arrived=False)
        raise
    return transferred


def _remove(connection: KVMConnection, path: str) -> None:
    pool = folder_pool(connection.read, path)
    if pool is not None:
        remove_volume(pool, path.rpartition("/")[2])


def _movable(file: StateFile, *, stopped: bool) -> bool:
    """Return whether a state file may be moved, of a VM that names UEFI variables which may not be its own."""
    if not file.folder.startswith(TPM_FOLDER) and stopped:
        raise InvalidStateError(
            f"the UEFI variables {file.folder}/{file.name} are not moved: another VM names them, or they are in no folder of libvirt",
            outcome="failed",
            hint="copy the file to the destination first, or put it on shared storage",
        )
    return file.folder.startswith(TPM_FOLDER)


__all__ = ["TransferredFiles", "transfer_files"]
