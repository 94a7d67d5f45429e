"""Folders and the inventory as a tree."""

from __future__ import annotations

from typing import Any

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, NotFoundError, SpecProblem
from novacron.jobs import Job
from novacron.records.vm import Deleted
from novacron_vmware.errors import translated
from novacron_vmware.finder import ambiguous
from novacron_vmware.names import canonical_path, escaped_name, plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import Folder, InventoryObject
from novacron_vmware.sdk import vim

PROPERTIES = ["name", "childType", "childEntity"]


class VSphereFolders(NativeOperations):
    """Folders: list, create, rename, move, delete; and what is in the inventory."""

    @vsphere.operation(kind="read")
    def folder_list(self, path: str = "") -> list[Folder]:
        """List folders.

        Args:
            path: only those below this folder or datacenter.
        """
        root = self._any(path) if path else None
        found = dict(self._connection.collect(vim.Folder, PROPERTIES, root))
        paths = self._connection.finder.paths(list(found))
        return sorted((self._record(thing, read, paths[thing]) for thing, read in found.items() if thing in paths), key=_path)

    @vsphere.operation(kind="read")
    def folder_show(self, path: str) -> Folder:
        """Show one folder."""
        return self._shown(self._folder(path))

    @vsphere.operation(kind="change")
    def folder_create(self, path: str) -> Folder:
        """Create a folder: the last part of an inventory path, such as "/DC0/vm/prod/web". Its parent has to exist."""
        parent, _, name = canonical_path(path).rpartition("/")
        if not name:
            raise InvalidSpecError("no folder name", problems=[SpecProblem("path", path, "an inventory path, /DC0/vm/NAME")])
        above = self._folder(parent) if parent else self._connection.content.rootFolder
        try:
            with translated(path):
                return self._shown(above.CreateFolder(plain_name(name)))
        except AlreadyExistsError as error:
            error.hint = "give another name, or use that folder"
            raise

    @vsphere.operation(kind="change")
    def folder_rename(self, path: str, name: str) -> Folder:
        """Rename a folder."""
        folder = self._folder(path)
        self._run(path, lambda: folder.Rename_Task(escaped_name(name)))
        return self._shown(folder)

    @vsphere.operation(kind="job")
    def folder_move(self, folder: str, objects: tuple[str, ...], job: Job[Folder]) -> Folder:
        """Move objects into a folder: VMs, folders, hosts, networks or datastores, as the folder holds them.

        Args:
            folder: where they go.
            objects: names, inventory paths or ids of what goes there.
        """
        target = self._folder(folder)
        things = [self._any(each) for each in objects]
        self._run(folder, lambda: target.MoveIntoFolder_Task(things), job)
        return self._shown(target)

    @vsphere.operation(kind="job", destroys=True)
    def folder_delete(self, path: str, job: Job[Deleted]) -> Deleted:
        """Delete an empty folder. One that holds anything is refused, because vSphere would destroy the VMs in it."""
        folder = self._folder(path)
        record = self._shown(folder)
        if record.children:
            raise InvalidStateError(
                f"the folder {record.path!r} holds {record.children} objects", resource=path, hint="move or delete them first"
            )
        if record.path.count("/") < 3 and isinstance(self._connection.read(folder, ["parent"])["parent"], vim.Datacenter):
            raise InvalidStateError(f"{record.path!r} belongs to its datacenter", resource=path, hint="name a folder below it")
        self._run(path, folder.Destroy_Task, job)
        return Deleted(name=record.name, removed=(record.path,))

    @vsphere.operation(kind="read")
    def object_list(self, path: str = "", kind: str = "", name: str = "") -> list[InventoryObject]:
        """List objects of the inventory with their paths.

        Args:
            path: only what is below this object.
            kind: vSphere's type, such as VirtualMachine, HostSystem, Datastore, Network, ResourcePool or Folder.
            name: only objects of this name.
        """
        wanted = getattr(vim, kind or "ManagedEntity", None)
        if not (isinstance(wanted, type) and issubclass(wanted, vim.ManagedEntity)):
            raise InvalidSpecError("no such kind", problems=[SpecProblem("kind", kind, "a vSphere type such as VirtualMachine")])
        connection = self._connection
        found = connection.collect(wanted, ["name"], self._any(path) if path else None)
        if not path and isinstance(connection.root, vim.Datacenter) and isinstance(connection.root, wanted):
            found.append((connection.root, connection.read(connection.root, ["name"])))
        chosen = [(thing, read) for thing, read in found if not name or plain_name(read.get("name", "")) == name]
        paths = connection.finder.paths([thing for thing, _ in chosen])
        return sorted((_object(thing, read, paths[thing]) for thing, read in chosen if thing in paths), key=_path)

    @vsphere.operation(kind="read")
    def object_show(self, path: str) -> InventoryObject:
        """Show one object of any kind: its type, path and id."""
        thing = self._any(path)
        return _object(thing, self._connection.read(thing, ["name"]), self._path(thing))

    @vsphere.operation(kind="change")
    def datacenter_create(self, path: str) -> InventoryObject:
        """Create a datacenter, at the top or in a folder of datacenters: "/DC1", "/F1/DC1"."""
        parent, _, name = canonical_path(path).rpartition("/")
        above = self._folder(parent) if parent else self._connection.content.rootFolder
        with translated(path):
            made = above.CreateDatacenter(plain_name(name))
        return _object(made, {"name": name}, self._path(made))

    @vsphere.operation(kind="job", destroys=True)
    def datacenter_delete(self, path: str, job: Job[Deleted]) -> Deleted:
        """Delete a datacenter without VMs and hosts."""
        thing = self._find(vim.Datacenter, path, "datacenter")
        where = self._path(thing)
        for kind, noun in ((vim.VirtualMachine, "VMs"), (vim.HostSystem, "hosts")):
            if found := self._connection.collect(kind, ["name"], thing):
                raise InvalidStateError(f"{where!r} has {len(found)} {noun}", resource=path, hint="remove them first")
        self._run(path, thing.Destroy_Task, job)
        return Deleted(name=where.rpartition("/")[2], removed=(where,))

    def _folder(self, text: str) -> Any:
        """Return a folder by path, id or name; "/" is the root folder."""
        if text in ("", "/"):
            return self._connection.content.rootFolder
        found = self._connection.collect(vim.Folder, ["name"], self._connection.content.rootFolder)
        chosen = self._connection.finder.named(found, text)
        if len(chosen) > 1:
            raise ambiguous("folder", text, self._connection.finder.paths(chosen).values())
        if not chosen:
            raise NotFoundError(f"no folder {text!r}", resource=text, hint="`novacron vsphere folder list` lists the folders")
        return chosen[0]

    def _shown(self, folder: Any) -> Folder:
        return self._record(folder, self._connection.read(folder, PROPERTIES), self._path(folder))

    def _record(self, thing: Any, read: dict[str, Any], path: str) -> Folder:
        return Folder(
            name=plain_name(read["name"]),
            path=path,
            holds=tuple(kind for kind in read.get("childType") or () if kind != "Folder"),
            children=len(read.get("childEntity") or ()),
            id=thing._moId,
        )


def _object(thing: Any, read: dict[str, Any], path: str) -> InventoryObject:
    return InventoryObject(
        name=plain_name(read.get("name", "")), kind=type(thing).__name__.rpartition(".")[2], path=path, id=thing._moId
    )


def _path(record: Any) -> str:
    return str(record.path)


__all__ = ["VSphereFolders"]
