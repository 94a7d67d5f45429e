"""Datastores and datastore clusters: maintenance, members, storage DRS."""

from __future__ import annotations

from typing import Any

from novacron.errors import InvalidStateError
from novacron.jobs import Job
from novacron.records.vm import Deleted
from novacron_vmware.errors import translated
from novacron_vmware.names import canonical_path, escaped_name, plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import DatastoreCluster, DatastoreState
from novacron_vmware.sdk import vim

PROPERTIES = ["name", "summary", "host", "vm"]
OF_CLUSTERS = ["name", "childEntity", "summary", "podStorageDrsEntry"]


class VSphereDatastores(NativeOperations):
    """Datastores as vSphere manages them, and datastore clusters."""

    @vsphere.operation(kind="read")
    def datastore_list(self) -> list[DatastoreState]:
        """List the datastores with their maintenance mode and how many nodes and VMs use them."""
        found = self._connection.collect(vim.Datastore, PROPERTIES)
        paths = self._connection.finder.paths([thing for thing, _ in found])
        return sorted((_state(thing, read, paths[thing]) for thing, read in found if thing in paths), key=lambda each: each.path)

    @vsphere.operation(kind="read")
    def datastore_show(self, datastore: str) -> DatastoreState:
        """Show a datastore."""
        return self._shown(self._datastore(datastore))

    @vsphere.operation(kind="job", idempotent=True)
    def datastore_maintenance_enter(self, datastore: str, job: Job[DatastoreState], evacuate: bool = False) -> DatastoreState:
        """Let a datastore enter maintenance mode. It refuses while VMs or templates are on it, unless storage DRS moves them.

        Args:
            datastore: its name, inventory path or id.
            evacuate: apply what storage DRS recommends, which moves the disks within the datastore cluster.
        """
        thing = self._datastore(datastore)
        record = self._shown(thing)
        if record.maintenance == "inMaintenance":
            return record
        if record.vms and not evacuate:
            raise InvalidStateError(
                f"{record.vms} VMs are on the datastore {record.path!r}",
                resource=datastore,
                hint="move their disks, or give evacuate=True (--evacuate) in a datastore cluster with storage DRS",
            )
        with translated(datastore):
            result = thing.DatastoreEnterMaintenanceMode()
            if keys := [each.key for each in result.recommendations or ()]:
                manager = self._manager("storageResourceManager", "storage DRS")
                self._connection.wait(manager.ApplyStorageDrsRecommendation_Task(keys), resource=datastore, job=job)
            if result.task is not None:
                self._connection.wait(result.task, resource=datastore, job=job)
        return self._shown(thing)

    @vsphere.operation(kind="job", idempotent=True)
    def datastore_maintenance_leave(self, datastore: str, job: Job[DatastoreState]) -> DatastoreState:
        """Let a datastore leave maintenance mode."""
        thing = self._datastore(datastore)
        if self._shown(thing).maintenance != "normal":
            self._run(datastore, thing.DatastoreExitMaintenanceMode_Task, job)
        return self._shown(thing)

    @vsphere.operation(kind="read")
    def datastore_cluster_list(self) -> list[DatastoreCluster]:
        """List the datastore clusters."""
        found = self._connection.collect(vim.StoragePod, OF_CLUSTERS)
        return sorted((self._cluster_record(thing, read) for thing, read in found), key=lambda each: each.path)

    @vsphere.operation(kind="change")
    def datastore_cluster_create(self, path: str) -> DatastoreCluster:
        """Create an empty datastore cluster.

        Args:
            path: its inventory path, "/DC0/datastore/fast"; the folder above has to exist.
        """
        parent, _, name = canonical_path(path).rpartition("/")
        folder = self._find(vim.Folder, parent, "folder")
        with translated(path):
            made = folder.CreateStoragePod(escaped_name(plain_name(name)))
        return self._cluster_shown(made)

    @vsphere.operation(kind="job", idempotent=True)
    def datastore_cluster_update(
        self,
        cluster: str,
        job: Job[DatastoreCluster],
        drs: bool | None = None,
        add: tuple[str, ...] = (),
        remove: tuple[str, ...] = (),
    ) -> DatastoreCluster:
        """Add datastores to a datastore cluster, take some out, and switch storage DRS on or off.

        Args:
            cluster: its name, inventory path or id.
            drs: whether storage DRS balances the datastores.
            add: a datastore that becomes a member; can be repeated.
            remove: a member that goes to the folder above; can be repeated.
        """
        thing = self._cluster(cluster)
        incoming, outgoing = [self._datastore(each) for each in add], [self._datastore(each) for each in remove]
        read = self._connection.read(thing, ["childEntity", "parent"])
        members = read.get("childEntity") or []
        for name, store in zip(remove, outgoing, strict=True):
            if store not in members:
                raise InvalidStateError(f"{name!r} is not in the cluster {cluster!r}", resource=name, hint="look at its members")
        if new := [store for store in incoming if store not in members]:
            self._run(cluster, lambda: thing.MoveIntoFolder_Task(new), job)
        if outgoing:
            self._run(cluster, lambda: read["parent"].MoveIntoFolder_Task(outgoing), job)
        if drs is not None:
            spec = vim.storageDrs.ConfigSpec(podConfigSpec=vim.storageDrs.PodConfigSpec(enabled=drs))
            manager = self._manager("storageResourceManager", "storage DRS")
            self._run(cluster, lambda: manager.ConfigureStorageDrsForPod_Task(thing, spec, True), job)
        return self._cluster_shown(thing)

    @vsphere.operation(kind="job", destroys=True)
    def datastore_cluster_delete(self, cluster: str, job: Job[Deleted]) -> Deleted:
        """Delete a datastore cluster without members."""
        thing = self._cluster(cluster)
        record = self._cluster_shown(thing)
        if record.datastores:
            raise InvalidStateError(
                f"{len(record.datastores)} datastores are in {record.path!r}", resource=cluster, hint="take them out first"
            )
        self._run(cluster, thing.Destroy_Task, job)
        return Deleted(name=record.name, removed=(record.path,))

    def _datastore(self, text: str) -> Any:
        return self._find(vim.Datastore, text, "datastore")

    def _cluster(self, text: str) -> Any:
        return self._find(vim.StoragePod, text, "datastore cluster")

    def _shown(self, thing: Any) -> DatastoreState:
        return _state(thing, self._connection.read(thing, PROPERTIES), self._path(thing))

    def _cluster_shown(self, thing: Any) -> DatastoreCluster:
        return self._cluster_record(thing, self._connection.read(thing, OF_CLUSTERS))

    def _cluster_record(self, thing: Any, read: dict[str, Any]) -> DatastoreCluster:
        members = list(read.get("childEntity") or ())
        found = self._connection.read_all(members, vim.Datastore, ["name", "summary.capacity", "summary.freeSpace"])
        entry = read.get("podStorageDrsEntry")
        config = entry.storageDrsConfig.podConfig if entry is not None else None
        return DatastoreCluster(
            name=plain_name(read["name"]),
            path=self._path(thing),
            datastores=tuple(sorted(plain_name(each["name"]) for _, each in found)),
            capacity_bytes=sum(int(each.get("summary.capacity") or 0) for _, each in found),
            free_bytes=sum(int(each.get("summary.freeSpace") or 0) for _, each in found),
            drs=bool(config is not None and config.enabled),
            id=thing._moId,
        )


def _state(thing: Any, read: dict[str, Any], path: str) -> DatastoreState:
    summary = read["summary"]
    return DatastoreState(
        name=plain_name(read["name"]),
        path=path,
        kind=str(summary.type or ""),
        capacity_bytes=int(summary.capacity or 0),
        free_bytes=int(summary.freeSpace or 0),
        accessible=bool(summary.accessible),
        maintenance=str(summary.maintenanceMode or "normal"),
        nodes=len(read.get("host") or ()),
        vms=len(read.get("vm") or ()),
        id=thing._moId,
    )


__all__ = ["VSphereDatastores"]
