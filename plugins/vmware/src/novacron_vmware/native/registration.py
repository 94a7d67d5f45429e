"""The registration of VMs: take them in, take them out, find those that are not in the inventory."""

from __future__ import annotations

from typing import Any

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, NovaCronError, SpecProblem
from novacron.jobs import Job
from novacron.records.vm import Deleted
from novacron_vmware.devices import split_path
from novacron_vmware.errors import translated
from novacron_vmware.names import escaped_name, plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import UnregisteredVM, VMDetails
from novacron_vmware.native.vms import details_of
from novacron_vmware.placement import find_placement, find_store
from novacron_vmware.sdk import vim

Browser = vim.host.DatastoreBrowser
OF_VM = [
    "name",
    "parent",
    "resourcePool",
    "runtime.host",
    "runtime.powerState",
    "runtime.connectionState",
    "summary.config.vmPathName",
]


class VSphereRegistration(NativeOperations):
    """Registers and unregisters VMs."""

    @vsphere.operation(kind="change", locks="vm", destroys=True)
    def vm_unregister(self, vm: str) -> Deleted:
        """Take a stopped VM out of the inventory. Its files stay; `vm register` takes it in again."""
        thing = self._connection.inventory.find(vm)
        read = self._connection.read(thing, ["name", "config.files.vmPathName", "config.instanceUuid", "runtime.powerState"])
        if read.get("runtime.powerState") != "poweredOff":
            raise InvalidStateError(f"can't unregister {vm!r} while it runs", resource=vm, hint="stop it first")
        with translated(vm):
            thing.UnregisterVM()
        return Deleted(name=plain_name(read["name"]), id=read.get("config.instanceUuid"), kept=(read["config.files.vmPathName"],))

    @vsphere.operation(kind="job")
    def vm_register(
        self, path: str, job: Job[VMDetails], name: str = "", folder: str = "", resource_pool: str = "", node: str = ""
    ) -> VMDetails:
        """Take a VM that is on a datastore into the inventory.

        Args:
            path: its .vmx file, "[DATASTORE] web1/web1.vmx".
            name: its name; that of the file by default.
            folder: the VM folder.
            resource_pool: the resource pool.
            node: the ESXi.
        """
        if not (parts := split_path(path)) or not path.endswith(".vmx"):
            raise InvalidSpecError(
                "no VM's file", resource=path, problems=[SpecProblem("path", path, "[DATASTORE] FOLDER/NAME.vmx")]
            )
        name = name or parts[1].rpartition("/")[2].removesuffix(".vmx")
        if self._connection.inventory.taken(name, None):
            raise AlreadyExistsError(f"a VM {name!r} is already there", resource=name, hint="give another name")
        find_store(self._connection, parts[0])
        native = {"folder": folder, "resource_pool": resource_pool}
        place = find_placement(self._connection, name, node=node or None, native=native, pools=[parts[0]])
        made = self._run(path, lambda: place.folder.RegisterVM_Task(path, escaped_name(name), False, place.pool, place.node), job)
        return details_of(self._connection, made)

    @vsphere.operation(kind="read", timeout=600.0)
    def vm_unregistered(self, datastore: str = "") -> list[UnregisteredVM]:
        """Find the VMs on datastores that are not in the inventory, such as orphaned ones, by their .vmx files.

        Args:
            datastore: only this datastore; all that are accessible by default.
        """
        connection = self._connection
        stores = connection.collect(vim.Datastore, ["name", "browser", "summary.accessible"])
        if datastore:
            wanted = self._find(vim.Datastore, datastore, "datastore")
            stores = [(store, read) for store, read in stores if store == wanted]
        listed = connection.collect(vim.VirtualMachine, ["summary.config.vmPathName"], connection.content.rootFolder)
        known = {read.get("summary.config.vmPathName") for _, read in listed}
        found = []
        for _, read in stores:
            if read.get("summary.accessible") is not False:
                found += [each for each in self._vmx_files(read) if each.path not in known]
        return sorted(found, key=lambda each: each.path)

    @vsphere.operation(kind="job", locks="vm")
    def vm_reregister(self, vm: str, job: Job[VMDetails]) -> VMDetails:
        """Take a VM out of the inventory and in again, in the same folder and resource pool. It repairs orphaned and inaccessible VMs.

        A VM that runs and is connected is refused. Permissions and history of the VM's old entry are lost.
        """
        connection = self._connection
        thing = connection.inventory.find(vm)
        read = connection.read(thing, OF_VM)
        connected = str(read.get("runtime.connectionState")) == "connected"
        if connected and read.get("runtime.powerState") != "poweredOff":
            raise InvalidStateError(f"can't register {vm!r} again while it runs", resource=vm, hint="stop it first")
        path, folder, pool = read.get("summary.config.vmPathName"), read.get("parent"), read.get("resourcePool")
        if not path or folder is None or pool is None:
            raise InvalidStateError(
                f"vCenter does not know all of {vm!r}: its file, folder or resource pool",
                resource=vm,
                hint="find its file with `vm unregistered`, and register that",
            )
        node = read.get("runtime.host") if connected else None
        with translated(vm):
            thing.UnregisterVM()
        try:
            made = self._run(vm, lambda: folder.RegisterVM_Task(path, read["name"], False, pool, node), job)
        except NovaCronError as error:
            error.add_note(f"the VM is not in the inventory now; its file is {path}")
            raise
        return details_of(connection, made)

    def _vmx_files(self, store: dict[str, Any]) -> list[UnregisteredVM]:
        name = plain_name(store["name"])
        details = Browser.FileInfo.Details(fileType=False, fileSize=False, modification=True, fileOwner=False)
        search = Browser.SearchSpec(matchPattern=["*.vmx"], details=details)
        begin = store["browser"].SearchDatastoreSubFolders_Task
        results = self._run(name, lambda: begin(f"[{name}]", search)) or []
        found = []
        for folder in results:
            for file in folder.file or ():
                parts = split_path(folder.folderPath) or (name, "")
                place = "/".join(filter(None, [parts[1].strip("/"), file.path]))
                modified = file.modification.isoformat() if file.modification else None
                found.append(
                    UnregisteredVM(
                        name=file.path.rpartition("/")[2].removesuffix(".vmx"),
                        path=f"[{parts[0]}] {place}",
                        datastore=name,
                        modified_at=modified,
                    )
                )
        return found


__all__ = ["VSphereRegistration"]
