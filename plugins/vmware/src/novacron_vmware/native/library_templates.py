"""VM templates in content libraries: store a VM as one, deploy it, check it out to change it, and check it in again."""

from __future__ import annotations

from typing import Any

from novacron.errors import InvalidStateError
from novacron.jobs import Job
from novacron.records.vm import VM
from novacron_vmware.gone import still_there
from novacron_vmware.native.area import vsphere
from novacron_vmware.native.library_operations import LibraryOperations
from novacron_vmware.native.records import LibraryItem, LibraryVersion
from novacron_vmware.placement import find_placement
from novacron_vmware.records import read_vm
from novacron_vmware.rest import TEMPLATES
from novacron_vmware.sdk import vim

KIND = "vm-template"
ITEMS = "library-items"


class VSphereLibraryTemplates(LibraryOperations):
    """VM templates that are items of content libraries of a vCenter."""

    @vsphere.operation(kind="job")
    def library_store(self, vm: str, library: str, item: str, job: Job[LibraryItem]) -> LibraryItem:
        """Store a copy of a VM as a VM template in a content library.

        Args:
            vm: the VM's name, path or id.
            library: the library's name or id.
            item: the new item's name.
        """
        known = self._library(library)
        self._refuse_item(known, item)
        thing = self._connection.inventory.find(vm)
        spec = {"name": item, "library": known.id, "source_vm": thing._moId, "placement": self._placement(item)}
        made = str(self._api("POST", ITEMS, dialect=TEMPLATES, body={"spec": spec}))
        return still_there(each for each in self._items(known) if each.id == made)

    @vsphere.operation(kind="job")
    def library_checkout(
        self, library: str, item: str, name: str, job: Job[VM], folder: str = "", resource_pool: str = "", node: str = ""
    ) -> VM:
        """Check out a VM template as a VM, to change it. `library_checkin` makes what was changed the item's next version.

        Args:
            library: the library's name or id.
            item: the item's name or id.
            name: the VM's name.
            folder: the VM folder.
            resource_pool: the resource pool.
            node: the ESXi.
        """
        found = self._template(library, item)
        self._refuse_taken(name)
        spec = {"name": name, "placement": self._placement(name, folder, resource_pool, node)}
        made = self._api("POST", f"{ITEMS}/{found.id}/check-outs", dialect=TEMPLATES, action="check-out", body={"spec": spec})
        return read_vm(self._connection, vim.VirtualMachine(str(made), self._connection.session))

    @vsphere.operation(kind="job")
    def library_checkin(self, library: str, item: str, vm: str, job: Job[LibraryVersion], message: str = "") -> LibraryVersion:
        """Check in a VM that was checked out. It becomes the newest version of the item and is no longer a VM.

        Args:
            library: the library's name or id.
            item: the item's name or id.
            vm: the VM's name, path or id. It has to be stopped.
            message: what has changed.
        """
        found = self._template(library, item)
        thing = self._connection.inventory.find(vm)
        if self._connection.read(thing, ["runtime.powerState"]).get("runtime.powerState") != "poweredOff":
            raise InvalidStateError(f"can't check in {vm!r}: it is not stopped", resource=vm, hint="stop it first")
        body = {"spec": {"message": message}}
        where = f"{ITEMS}/{found.id}/check-outs/{thing._moId}"
        version = self._api("POST", where, dialect=TEMPLATES, action="check-in", body=body)
        return LibraryVersion(item=found.name, library=found.library, version=str(version))

    def _template(self, library: str, item: str) -> LibraryItem:
        self._require_version("7.0", "check-outs of templates")
        found = self._item(library, item)
        if found.kind != KIND:
            raise InvalidStateError(
                f"the item {found.name!r} is of the kind {found.kind or 'none'!r}, not a VM template",
                resource=found.name,
                hint="only VM templates are checked out; `library deploy` creates a VM from an OVF",
            )
        return found

    def _placement(self, name: str, folder: str = "", resource_pool: str = "", node: str = "") -> dict[str, Any]:
        native = {"folder": folder, "resource_pool": resource_pool}
        place = find_placement(self._connection, name, node=node or None, native=native)
        return {
            "folder": place.folder._moId,
            "resource_pool": place.pool._moId,
            **({"host": place.node._moId} if place.node else {}),
        }


__all__ = ["VSphereLibraryTemplates"]
