"""Storage pools: vSphere's datastores."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, SpecProblem
from novacron.plugins import hookimpl
from novacron.records.pools import StoragePool
from novacron.records.vm import Deleted
from novacron_vmware.errors import translated
from novacron_vmware.placement import find_store
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron.specs.pools import StoragePoolSpec

PATHS = [
    "name",
    "summary.type",
    "summary.accessible",
    "summary.capacity",
    "summary.freeSpace",
    "summary.url",
    "summary.maintenanceMode",
]


class VMwarePools(VMOperations):
    """Lists, mounts and unmounts datastores."""

    @hookimpl
    def pool_list(self) -> list[StoragePool]:
        """List them."""
        return sorted(
            (self._record(read) for _, read in self._connection.collect(vim.Datastore, PATHS)), key=lambda pool: pool.name
        )

    @hookimpl
    def pool_get(self, pool: str) -> StoragePool:
        """Return one."""
        return self._record(self._connection.read(self._store(pool), PATHS))

    @hookimpl
    def pool_create(self, spec: StoragePoolSpec) -> StoragePool:
        """Mount a datastore on all nodes: "netfs" an NFS export, "dir" a directory of the ESXi (a local datastore, one node only)."""
        problems = list(_problems(spec))
        nodes = self._connection.collect(vim.HostSystem, ["name", "configManager.datastoreSystem"])
        if spec.type == "dir" and len(nodes) > 1:
            problems.append(SpecProblem("type", "dir", "netfs: a directory is on one node only, and there are several"))
        if problems:
            raise InvalidSpecError(f"vSphere can't create the storage pool {spec.name!r}", resource=spec.name, problems=problems)
        if spec.name in {pool.name for pool in self.pool_list()}:
            raise AlreadyExistsError(f"a datastore {spec.name!r} is already there", resource=spec.name, hint="give another name")
        mounted = list[tuple[Any, Any]]()
        with translated(spec.name):
            try:
                for _, read in nodes:
                    system = read["configManager.datastoreSystem"]
                    mounted.append((system, self._mount(system, spec)))
            except BaseException:
                for system, store in mounted:
                    system.RemoveDatastore(store)
                raise
        return self.pool_get(spec.name)

    def _mount(self, system: Any, spec: StoragePoolSpec) -> Any:
        if spec.type == "dir":
            return system.CreateLocalDatastore(spec.name, spec.path)
        volume = vim.host.NasVolume.Specification(
            remoteHost=spec.source_host, remotePath=spec.source_path, localPath=spec.name, accessMode="readWrite", type="NFS"
        )
        return system.CreateNasDatastore(volume)

    @hookimpl
    def pool_refresh(self, pool: str) -> StoragePool:
        """Let the nodes look again at what is free."""
        store = self._store(pool)
        with translated(pool):
            store.RefreshDatastore()
        return self.pool_get(pool)

    @hookimpl
    def pool_delete(self, pool: str) -> Deleted:
        """Unmount an NFS export from all nodes; its files stay. Refused while a VM is on it, and for a VMFS, whose files would go."""
        store = self._store(pool)
        read = self._connection.read(store, [*PATHS, "vm"])
        users = [name["name"] for _, name in self._connection.read_all(list(read.get("vm") or ()), vim.VirtualMachine, ["name"])]
        if users:
            raise InvalidStateError(
                f"can't delete the datastore {pool!r}: {', '.join(sorted(users)[:5])} use it",
                resource=pool,
                hint="delete or move these VMs first",
            )
        if str(read.get("summary.type")).startswith("VMFS"):
            raise InvalidStateError(
                f"can't forget the datastore {pool!r}: a VMFS is deleted with its files",
                resource=pool,
                hint="delete it on the ESXi if that is what you want",
            )
        with translated(pool):
            self._connection.wait(store.Destroy_Task(), resource=pool)
        return Deleted(name=pool)

    def _store(self, pool: str) -> Any:
        return find_store(self._connection, pool)[1]

    def _record(self, read: dict[str, Any]) -> StoragePool:
        capacity, free = int(read.get("summary.capacity") or 0), int(read.get("summary.freeSpace") or 0)
        active = bool(read.get("summary.accessible")) and read.get("summary.maintenanceMode", "normal") == "normal"
        kind = str(read.get("summary.type") or "").lower()
        return StoragePool(
            name=read["name"],
            host=self._connection.name,
            type="netfs" if kind.startswith("nfs") else kind,
            active=active,
            autostart=True,
            path=read.get("summary.url") or None,
            capacity_bytes=capacity,
            available_bytes=free,
            allocated_bytes=max(0, capacity - free),
        )


def _problems(spec: StoragePoolSpec) -> Any:
    needed = {"netfs": ("source_host", "source_path"), "dir": ("path",)}.get(spec.type)
    if needed is None:
        yield SpecProblem("type", spec.type, "netfs or dir: VMFS datastores are made on the ESXi")
        return
    for field in needed:
        if not getattr(spec, field):
            yield SpecProblem(field, "", f"needed for {spec.type}")
    if re.search(r"[%/\\]", spec.name):
        yield SpecProblem("name", spec.name, "no %, / or \\")


__all__ = ["PATHS", "VMwarePools"]
