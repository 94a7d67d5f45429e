"""Content libraries: list, create, delete; import, delete and deploy their items."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from novacron.errors import AlreadyExistsError, DriverError, InvalidSpecError, InvalidStateError, SpecProblem
from novacron.jobs import Job
from novacron.records.vm import VM, Deleted
from novacron_vmware.errors import translated
from novacron_vmware.gone import still_there
from novacron_vmware.native.area import vsphere
from novacron_vmware.native.library_operations import ITEM, LibraryOperations
from novacron_vmware.native.records import Library, LibraryItem
from novacron_vmware.placement import DEFAULT, find_network, find_placement, find_store
from novacron_vmware.records import read_vm
from novacron_vmware.rest import OVF
from novacron_vmware.sdk import vim

CHUNK = 1024 * 1024
UPDATE = "library/item/update-session"


class VSphereLibraries(LibraryOperations):
    """Content libraries of a vCenter and their items."""

    @vsphere.operation(kind="read")
    def library_list(self) -> list[Library]:
        """List the content libraries."""
        return self._libraries()

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
        self._refuse_item(known, item)
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
        return still_there(each for each in self._items(known) if each.id == made)

    @vsphere.operation(kind="job", destroys=True)
    def library_remove(self, library: str, item: str, job: Job[Deleted]) -> Deleted:
        """Delete an item of a content library."""
        found = self._item(library, item)
        self._api("DELETE", ITEM, identity=found.id)
        return Deleted(name=found.name, id=found.id)

    @vsphere.operation(kind="job")
    def library_sync(self, library: str, job: Job[Library]) -> Library:
        """Fetch what has changed in the library that a subscribed library follows."""
        known = self._library(library)
        if known.kind != "subscribed":
            raise InvalidStateError(
                f"the library {known.name!r} follows no other",
                resource=known.name,
                hint="only a subscribed library is synchronized",
            )
        self._api("POST", "subscribed-library", identity=known.id, action="sync")
        return self._library(known.id)

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
        properties: dict[str, str] | None = None,
        option: str = "",
        networks: dict[str, str] | None = None,
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
            properties: values of the OVF's properties, by their keys.
            option: the OVF's deployment option, such as "small".
            networks: a network of the datacenter for each network that the OVF names.
        """
        found = self._item(library, item)
        self._refuse_taken(name)
        place = find_placement(
            self._connection, name, node=node or None, native={"folder": folder, "resource_pool": resource_pool}
        )
        _, store = find_store(self._connection, pool, place.datacenter)
        spec: dict[str, Any] = {"name": name, "accept_all_EULA": True, "default_datastore_id": store._moId}
        if networks:
            spec["network_mappings"] = [
                {"key": theirs, "value": find_network(self._connection, ours, place.datacenter)._moId}
                for theirs, ours in networks.items()
            ]
        if more := list(_parameters(properties or {}, option)):
            spec["additional_parameters"] = more
        target = {"resource_pool_id": place.pool._moId, "folder_id": place.folder._moId}
        if place.node:
            target["host_id"] = place.node._moId
        body = {"deployment_spec": spec, "target": target}
        answer = self._api("POST", "library-item", dialect=OVF, identity=found.id, action="deploy", body=body)
        if not answer.get("succeeded"):
            raise DriverError(
                f"vCenter can't deploy {item!r}: {'; '.join(_messages(answer)) or 'it does not say why'}",
                resource=name,
                details={"answer": answer},
                hint="the item, its properties, its deployment option and its networks have to fit together",
            )
        return read_vm(self._connection, vim.VirtualMachine(answer["resource_id"]["id"], self._connection.session))

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


def _parameters(properties: dict[str, str], option: str) -> Iterator[dict[str, Any]]:
    """Yield the parameters of a deployment as vCenter's REST API has them."""
    if properties:
        values = [{"id": key, "value": value} for key, value in properties.items()]
        yield {"@class": "com.vmware.vcenter.ovf.property_params", "type": "PropertyParams", "properties": values}
    if option:
        kind = "com.vmware.vcenter.ovf.deployment_option_params"
        yield {"@class": kind, "type": "DeploymentOptionParams", "selected_key": option}


def _messages(answer: Any) -> Iterator[str]:
    """Yield the texts of the errors in an answer, however deep they are in it."""
    if isinstance(answer, dict):
        if text := answer.get("default_message"):
            yield str(text)
        for each in answer.values():
            yield from _messages(each)
    elif isinstance(answer, list):
        for each in answer:
            yield from _messages(each)


def _chunks(source: Any, size: int, job: Job[Any]) -> Any:
    done = 0
    while chunk := source.read(CHUNK):
        job.raise_if_cancelled()
        done += len(chunk)
        job.report("uploading", done / size if size else None, transferred_bytes=done, total_bytes=size)
        yield chunk


__all__ = ["VSphereLibraries"]
