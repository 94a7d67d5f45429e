"""Content libraries: list, create, delete; import, delete and deploy their items."""

from __future__ import annotations

import http.client
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from novacron.errors import (
    AlreadyExistsError,
    DriverError,
    InvalidSpecError,
    NotFoundError,
    SpecProblem,
    UnsupportedOperationError,
)
from novacron.jobs import Job
from novacron.records.vm import VM, Deleted
from novacron_vmware.errors import translated
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import Library, LibraryItem
from novacron_vmware.placement import DEFAULT, find_placement, find_store
from novacron_vmware.records import read_vm
from novacron_vmware.rest import CONTENT, OVF
from novacron_vmware.sdk import vim

CHUNK = 1024 * 1024
ITEM, UPDATE = "library/item", "library/item/update-session"


class VSphereLibraries(NativeOperations):
    """Content libraries of a vCenter and their items."""

    @vsphere.operation(kind="read")
    def library_list(self) -> list[Library]:
        """List the content libraries."""
        found = [self._api("GET", "library", identity=each) for each in self._api("GET", "library") or ()]
        return sorted((self._record(each) for each in found), key=lambda library: library.name)

    @vsphere.operation(kind="change")
    def library_create(self, name: str, pool: str = DEFAULT, description: str = "", subscribe: str = "") -> Library:
        """Create a content library in a datastore.

        Args:
            name: its name.
            pool: the datastore; by default the one with the most free space.
            description: what it is for.
            subscribe: URL of a published library that it follows.
        """
        if any(each.name == name for each in self.library_list()):
            raise AlreadyExistsError(f"a library {name!r} is already there", resource=name, hint="give another name")
        _, store = find_store(self._connection, pool)
        spec: dict[str, Any] = {
            "name": name,
            "description": description,
            "type": "SUBSCRIBED" if subscribe else "LOCAL",
            "storage_backings": [{"type": "DATASTORE", "datastore_id": store._moId}],
        }
        if subscribe:
            spec["subscription_info"] = {
                "subscription_url": subscribe,
                "authentication_method": "NONE",
                "automatic_sync_enabled": True,
                "on_demand": False,
            }
        made = self._api("POST", "subscribed-library" if subscribe else "local-library", body={"create_spec": spec})
        return self._record(self._api("GET", "library", identity=str(made)))

    @vsphere.operation(kind="job", destroys=True)
    def library_delete(self, library: str, job: Job[Deleted]) -> Deleted:
        """Delete a content library with all of its items."""
        known = self._library(library)
        self._api("DELETE", "subscribed-library" if known.kind == "subscribed" else "local-library", identity=known.id)
        return Deleted(name=known.name, id=known.id)

    @vsphere.operation(kind="read")
    def library_items(self, library: str) -> list[LibraryItem]:
        """List the items of a content library."""
        return self._items(self._library(library))

    @vsphere.operation(kind="job")
    def library_import(self, library: str, item: str, files: tuple[str, ...], job: Job[LibraryItem]) -> LibraryItem:
        """Import local files as an item of a library: an ISO, or an OVF with its disks. A failed import leaves no item.

        Args:
            library: the library's name or id.
            item: the new item's name.
            files: the local files.
        """
        known = self._library(library)
        if any(each.name == item for each in self._items(known)):
            raise AlreadyExistsError(
                f"the library {known.name!r} has an item {item!r} already", resource=item, hint="give another name"
            )
        sizes = {}
        for file in files:
            try:
                sizes[file] = os.path.getsize(file)
            except OSError as error:
                raise InvalidSpecError(
                    "no such file", problems=[SpecProblem("files", file, f"a local file: {error.strerror}")]
                ) from None
        kind = next((Path(file).suffix.lstrip(".") for file in files if Path(file).suffix in (".ovf", ".iso")), "")
        made = str(self._api("POST", ITEM, body={"create_spec": {"library_id": known.id, "name": item, "type": kind}}))
        try:
            update = str(self._api("POST", UPDATE, body={"create_spec": {"library_item_id": made}}))
            for file in files:
                self._upload(update, file, sizes[file], job)
            self._api("POST", UPDATE, identity=update, action="complete")
        except BaseException:
            self._api("DELETE", ITEM, identity=made)
            raise
        return next(each for each in self._items(known) if each.id == made)

    @vsphere.operation(kind="job", destroys=True)
    def library_remove(self, library: str, item: str, job: Job[Deleted]) -> Deleted:
        """Delete an item of a content library."""
        found = self._item(library, item)
        self._api("DELETE", ITEM, identity=found.id)
        return Deleted(name=found.name, id=found.id)

    @vsphere.operation(kind="job")
    def library_deploy(
        self,
        library: str,
        item: str,
        name: str,
        job: Job[VM],
        folder: str = "",
        resource_pool: str = "",
        node: str = "",
        pool: str = DEFAULT,
    ) -> VM:
        """Create a VM from an OVF item of a library.

        Args:
            library: the library's name or id.
            item: the item's name or id.
            name: the VM's name.
            folder: the VM folder.
            resource_pool: the resource pool.
            node: the ESXi.
            pool: the datastore; by default the one with the most free space.
        """
        found = self._item(library, item)
        if self._connection.inventory.taken(name, None):
            raise AlreadyExistsError(f"a VM {name!r} is already there", resource=name, hint="give another name")
        place = find_placement(
            self._connection, name, node=node or None, native={"folder": folder, "resource_pool": resource_pool}
        )
        _, store = find_store(self._connection, pool, place.datacenter)
        body = {
            "deployment_spec": {"name": name, "accept_all_EULA": True, "default_datastore_id": store._moId},
            "target": {
                "resource_pool_id": place.pool._moId,
                "folder_id": place.folder._moId,
                **({"host_id": place.node._moId} if place.node else {}),
            },
        }
        answer = self._api("POST", "library-item", dialect=OVF, identity=found.id, action="deploy", body=body)
        if not answer.get("succeeded"):
            raise DriverError(
                f"vCenter can't deploy {item!r}", resource=name, details={"answer": answer}, hint="look at the details"
            )
        return read_vm(self._connection, vim.VirtualMachine(answer["resource_id"]["id"], self._connection.session))

    def _api(self, verb: str, path: str, dialect: Any = CONTENT, **more: Any) -> Any:
        if self._connection.is_esxi:
            raise UnsupportedOperationError(
                "only a vCenter has content libraries", outcome="not_sent", hint="connect to the vCenter"
            )
        return self._connection.rest.call(verb, path, dialect=dialect, **more)

    def _upload(self, update: str, file: str, size: int, job: Job[Any]) -> None:
        spec = {"file_spec": {"name": Path(file).name, "source_type": "PUSH", "size": size}}
        answer = self._api("POST", "library/item/updatesession/file", identity=update, action="add", body=spec)
        place = urlsplit(answer["upload_endpoint"]["uri"])
        with translated(file), Path(file).open("rb") as source:
            web = self._connection.session.web(place.hostname, place.port)
            try:
                headers = {"Content-Length": str(size), **self._connection.rest.headers(place.hostname)}
                web.request("PUT", place.path, body=_chunks(source, size, job), headers=headers)
                status = web.getresponse().status
            finally:
                web.close()
        if status >= http.client.BAD_REQUEST:
            raise DriverError(f"the server refuses {file!r}: {status}", resource=file)

    def _library(self, text: str) -> Library:
        known = self.library_list()
        found = [each for each in known if text in (each.name, each.id)]
        if len(found) > 1:
            ids = ", ".join(each.id for each in found)
            raise InvalidSpecError(f"{len(found)} libraries are named {text!r}", resource=text, hint=f"name it by its id: {ids}")
        if not found:
            names = ", ".join(each.name for each in known) or "none"
            raise NotFoundError(f"no content library {text!r}", resource=text, hint=f"there are: {names}")
        return found[0]

    def _items(self, library: Library) -> list[LibraryItem]:
        found = []
        for identity in self._api("GET", f"{ITEM}?library_id={library.id}") or ():
            about = self._api("GET", ITEM, identity=identity)
            found.append(
                LibraryItem(
                    name=about["name"],
                    kind=about.get("type") or "",
                    size_bytes=int(about.get("size") or 0),
                    library=library.name,
                    id=about["id"],
                )
            )
        return sorted(found, key=lambda item: item.name)

    def _item(self, library: str, item: str) -> LibraryItem:
        known = self._items(self._library(library))
        for each in known:
            if item in (each.name, each.id):
                return each
        names = ", ".join(each.name for each in known) or "none"
        raise NotFoundError(f"the library {library!r} has no item {item!r}", resource=item, hint=f"there are: {names}")

    def _record(self, about: Any) -> Library:
        backings = about.get("storage_backings") or [{}]
        store = backings[0].get("datastore_id")
        known = {thing._moId: read["name"] for thing, read in self._connection.collect(vim.Datastore, ["name"])}
        return Library(
            name=about["name"],
            kind=str(about.get("type") or "").lower(),
            id=about["id"],
            datastore=known.get(store, store),
            description=about.get("description") or "",
        )


def _chunks(source: Any, size: int, job: Job[Any]) -> Any:
    done = 0
    while chunk := source.read(CHUNK):
        job.raise_if_cancelled()
        done += len(chunk)
        job.report("uploading", done / size if size else None, transferred_bytes=done, total_bytes=size)
        yield chunk


__all__ = ["VSphereLibraries"]
