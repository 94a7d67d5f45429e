"""The datastore browser: list, copy, move, delete, upload and download files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from novacron.errors import (
    AlreadyExistsError,
    InvalidSpecError,
    InvalidStateError,
    NotFoundError,
    SpecProblem,
    VolumeNotFoundError,
)
from novacron.jobs import Job
from novacron.records.vm import Deleted
from novacron_vmware.devices import split_path
from novacron_vmware.errors import translated
from novacron_vmware.names import plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import DatastoreFile
from novacron_vmware.placement import find_store
from novacron_vmware.sdk import vim
from novacron_vmware.storage.datastore_files import fetch, send

Browser = vim.host.DatastoreBrowser
HINT = 'write "DATASTORE/PATH", "[DATASTORE] PATH", or "/DC0/datastore/NAME:PATH"'


class VSphereDatastoreFiles(NativeOperations):
    """Files in datastores. A place is written "DATASTORE/PATH", as vSphere writes it, "[DATASTORE] PATH", or "/DC0/datastore/NAME:PATH"."""

    @vsphere.operation(kind="read")
    def datastore_ls(self, path: str, recurse: bool = False) -> list[DatastoreFile]:
        """List a folder of a datastore: "DATASTORE" or "DATASTORE/FOLDER".

        Args:
            path: the folder.
            recurse: also list what is in the folders below.
        """
        place = self._place(path)
        found = self._browse(place.store, place.text, recurse=recurse)
        return sorted(found, key=lambda file: file.path)

    @vsphere.operation(kind="change")
    def datastore_mkdir(self, path: str, parents: bool = False) -> DatastoreFile:
        """Create a folder in a datastore.

        Args:
            path: the folder.
            parents: also create the folders above it.
        """
        place = self._place(path, file=True)
        with translated(path):
            self._files.MakeDirectory(place.text, place.datacenter, parents)
        return self._shown(place)

    @vsphere.operation(kind="job")
    def datastore_cp(self, source: str, to: str, job: Job[DatastoreFile], replace: bool = False) -> DatastoreFile:
        """Copy a file or folder, also to another datastore.

        Args:
            source: the file.
            to: the copy.
            replace: replace a file that is there.
        """
        here, there = self._place(source, file=True), self._place(to, file=True)
        self._check_target(there, replace=replace)
        copy = self._files.CopyDatastoreFile_Task
        self._run(source, lambda: copy(here.text, here.datacenter, there.text, there.datacenter, replace), job)
        return self._shown(there)

    @vsphere.operation(kind="job")
    def datastore_mv(self, source: str, to: str, job: Job[DatastoreFile], replace: bool = False) -> DatastoreFile:
        """Move or rename a file or folder. Files that a VM uses are refused.

        Args:
            source: the file.
            to: its new place.
            replace: replace a file that is there.
        """
        here, there = self._place(source, file=True), self._place(to, file=True)
        self._refuse_used(here, "move")
        self._check_target(there, replace=replace)
        move = self._files.MoveDatastoreFile_Task
        self._run(source, lambda: move(here.text, here.datacenter, there.text, there.datacenter, replace), job)
        return self._shown(there)

    @vsphere.operation(kind="job", destroys=True)
    def datastore_rm(self, path: str, job: Job[Deleted]) -> Deleted:
        """Delete a file, or a folder with all that is in it. Files that a VM uses are refused."""
        place = self._place(path, file=True)
        self._refuse_used(place, "delete")
        self._shown(place)
        self._run(path, lambda: self._files.DeleteDatastoreFile_Task(place.text, place.datacenter), job)
        return Deleted(name=place.name, removed=(place.text,))

    @vsphere.operation(kind="job")
    def datastore_upload(self, source: BinaryIO, path: str, job: Job[DatastoreFile], replace: bool = False) -> DatastoreFile:
        """Upload a file to a datastore.

        Args:
            source: the local file.
            path: the file in the datastore.
            replace: replace a file that is there.
        """
        place = self._place(path, file=True)
        self._check_target(place, replace=replace)
        begin = source.tell()
        size = source.seek(0, os.SEEK_END) - begin
        source.seek(begin)
        send(self._connection, place.text, self._connection.datacenter_of(place.datacenter), source, size, job)
        return self._shown(place)

    @vsphere.operation(kind="job")
    def datastore_download(
        self, path: str, target: BinaryIO, job: Job[DatastoreFile], offset: int = 0, length: int | None = None
    ) -> DatastoreFile:
        """Download a file from a datastore, or a part of it, to a new local file.

        Args:
            path: the file in the datastore.
            target: the local file.
            offset: the first byte that is downloaded.
            length: how many bytes at most; all that follow by default.
        """
        if offset < 0 or (length is not None and length < 1):
            problem = SpecProblem("offset", f"{offset}, {length}", "an offset from 0 on, and a length from 1 on")
            raise InvalidSpecError("no part of a file", resource=path, problems=[problem])
        place = self._place(path, file=True)
        found = self._shown(place)
        fetch(self._connection, place.text, self._connection.datacenter_of(place.datacenter), target, job, (offset, length))
        return found

    @property
    def _files(self) -> Any:
        return self._connection.content.fileManager

    def _place(self, text: str, *, file: bool = False) -> _Place:
        """Return the place that a text names. Raises InvalidSpecError, StoragePoolNotFoundError."""
        if parts := split_path(text):
            store, name = parts
        elif text.startswith("/") and ":" in text:
            store, _, name = text.partition(":")
        else:
            store, _, name = text.partition("/")
        parts_of_name = [part for part in name.split("/") if part not in ("", ".")]
        if not store or ".." in parts_of_name or (file and not parts_of_name):
            raise InvalidSpecError("no place in a datastore", problems=[SpecProblem("path", text, HINT)])
        plain, thing = find_store(self._connection, store)
        return _Place(plain_name(plain), thing, "/".join(parts_of_name), self._connection.datacenter_thing(thing))

    def _browse(self, store: Any, text: str, *, recurse: bool, pattern: str = "*") -> Iterator[DatastoreFile]:
        browser = self._connection.read(store, ["browser"])["browser"]
        spec = Browser.SearchSpec(
            matchPattern=[pattern],
            query=[
                Browser.FolderQuery(),
                Browser.VmDiskQuery(),
                Browser.IsoImageQuery(),
                Browser.VmConfigQuery(),
                Browser.Query(),
            ],
            details=Browser.FileInfo.Details(fileSize=True, fileType=True, modification=True, fileOwner=False),
        )
        search = browser.SearchDatastoreSubFolders_Task if recurse else browser.SearchDatastore_Task
        found = self._run(text, lambda: search(text, spec))
        seen = set[str]()
        for part in found if recurse else [found]:
            where = part.folderPath if part.folderPath.endswith(("/", "] ")) else part.folderPath + "/"
            where = where.replace("]/", "] ")
            for file in part.file or ():
                path = f"{where}{file.path}"
                if path not in seen:
                    seen.add(path)
                    yield _record(path, file)

    def _shown(self, place: _Place) -> DatastoreFile:
        """Return the record of a file. Raises NotFoundError."""
        folder, _, name = place.name.rpartition("/")
        try:
            inside = self._browse(place.store, f"[{place.pool}] {folder}".rstrip(), recurse=False, pattern=name)
            found = [file for file in inside if file.name == name]
        except (NotFoundError, VolumeNotFoundError):
            found = []
        if not found:
            raise NotFoundError(
                f"no file {place.text!r}", resource=place.text, hint="`novacron vsphere datastore ls` lists a folder"
            )
        return found[0]

    def _check_target(self, place: _Place, *, replace: bool) -> None:
        try:
            self._shown(place)
        except NotFoundError:
            return
        if not replace:
            raise AlreadyExistsError(
                f"{place.text!r} is already there", resource=place.text, hint="replace=True (--replace) replaces it"
            )
        self._refuse_used(place, "replace")

    def _refuse_used(self, place: _Place, verb: str) -> None:
        """Raise InvalidStateError if the file, or anything in the folder, belongs to a VM or template of the inventory."""
        paths = ["name", "layoutEx.file", "config.files.vmPathName", "config.hardware.device"]
        for _, read in self._connection.collect(vim.VirtualMachine, paths, place.datacenter):
            files = {file.name for file in read.get("layoutEx.file") or ()} | {read.get("config.files.vmPathName") or ""}
            for device in read.get("config.hardware.device") or ():
                backing = getattr(device, "backing", None)
                while backing is not None:
                    files.add(getattr(backing, "fileName", None) or "")
                    backing = getattr(backing, "parent", None)
            stem = place.text.removesuffix(".vmdk").removesuffix("-flat")
            if any(file == place.text or file.startswith(f"{place.text}/") or file == f"{stem}.vmdk" for file in files):
                name = plain_name(read.get("name", ""))
                raise InvalidStateError(
                    f"can't {verb} {place.text!r}: the VM {name!r} uses it",
                    resource=place.text,
                    hint="delete or unregister the VM first",
                )


class _Place:
    """A place in a datastore."""

    def __init__(self, pool: str, store: Any, name: str, datacenter: Any) -> None:
        self.pool, self.store, self.name, self.datacenter = pool, store, name, datacenter
        self.text = f"[{pool}] {name}".rstrip()


def _record(path: str, file: Any) -> DatastoreFile:
    kind = type(file).__name__.rpartition(".")[2].removesuffix("Info").lower()
    modified = getattr(file, "modification", None)
    return DatastoreFile(
        name=file.path.rpartition("/")[2],
        kind={"folder": "folder", "vmdisk": "disk", "isoimage": "iso", "vmconfig": "vm"}.get(kind, "file"),
        size_bytes=int(getattr(file, "fileSize", 0) or 0),
        modified_at=modified.isoformat() if modified else None,
        path=path,
    )


__all__ = ["VSphereDatastoreFiles"]
