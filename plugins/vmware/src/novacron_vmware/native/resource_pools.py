"""Resource pools and vApps: what they may use, and what they are guaranteed."""

from __future__ import annotations

from typing import Any, Literal

from novacron.errors import InvalidSpecError, InvalidStateError, SpecProblem
from novacron.jobs import Job
from novacron.records.vm import Deleted
from novacron.units import parse_size
from novacron_vmware.errors import translated
from novacron_vmware.names import escaped_name, plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import ResourcePool
from novacron_vmware.sdk import vim

PROPERTIES = ["name", "config.cpuAllocation", "config.memoryAllocation", "vm", "parent"]
MIB = 2**20
Level = Literal["low", "normal", "high"]


class VSphereResourcePools(NativeOperations):
    """Resource pools and vApps: list, create, change limits and shares, delete, power."""

    @vsphere.operation(kind="read")
    def pool_list(self, path: str = "") -> list[ResourcePool]:
        """List resource pools and vApps.

        Args:
            path: only those below this cluster, host or pool.
        """
        found = self._connection.collect(vim.ResourcePool, PROPERTIES, self._any(path) if path else None)
        paths = self._connection.finder.paths([thing for thing, _ in found])
        records = [_record(thing, read, paths[thing]) for thing, read in found if thing in paths]
        return sorted(records, key=lambda record: record.path)

    @vsphere.operation(kind="read")
    def pool_show(self, pool: str) -> ResourcePool:
        """Show a resource pool or vApp."""
        return self._shown(self._pool(pool))

    @vsphere.operation(kind="change")
    def pool_create(
        self,
        name: str,
        parent: str,
        vapp: bool = False,
        cpu_reservation: int = 0,
        cpu_limit: int = -1,
        cpu_shares: str = "normal",
        memory_reservation: str = "0",
        memory_limit: str = "unlimited",
        memory_shares: str = "normal",
    ) -> ResourcePool:
        """Create a resource pool or vApp in a cluster, a host or another pool.

        Args:
            name: its name.
            parent: a resource pool, cluster or host, by name, inventory path or id.
            vapp: create a vApp.
            cpu_reservation: MHz that are guaranteed.
            cpu_limit: MHz that it may use at most; -1 for no limit.
            cpu_shares: low, normal, high, or a number.
            memory_reservation: memory that is guaranteed, such as "4GiB".
            memory_limit: memory that it may use at most, or "unlimited".
            memory_shares: low, normal, high, or a number.
        """
        above = self._parent(parent)
        spec = vim.ResourceConfigSpec(
            cpuAllocation=_allocation(cpu_reservation, cpu_limit, cpu_shares, "cpu"),
            memoryAllocation=_allocation(
                _mebibytes(memory_reservation, "memory_reservation"),
                _mebibytes(memory_limit, "memory_limit"),
                memory_shares,
                "memory",
            ),
        )
        with translated(name):
            if vapp:
                made = above.CreateVApp(escaped_name(name), spec, vim.vApp.VAppConfigSpec(), self._vm_folder(above))
            else:
                made = above.CreateResourcePool(escaped_name(name), spec)
        return self._shown(made)

    @vsphere.operation(kind="change", idempotent=True)
    def pool_update(
        self,
        pool: str,
        name: str | None = None,
        cpu_reservation: int | None = None,
        cpu_limit: int | None = None,
        cpu_shares: str | None = None,
        memory_reservation: str | None = None,
        memory_limit: str | None = None,
        memory_shares: str | None = None,
    ) -> ResourcePool:
        """Change what is given of a resource pool or vApp; everything else stays.

        Args:
            pool: its name, inventory path or id.
            name: a new name.
            cpu_reservation: MHz that are guaranteed.
            cpu_limit: MHz that it may use at most; -1 for no limit.
            cpu_shares: low, normal, high, or a number.
            memory_reservation: memory that is guaranteed, such as "4GiB".
            memory_limit: memory that it may use at most, or "unlimited".
            memory_shares: low, normal, high, or a number.
        """
        thing = self._pool(pool)
        reservation = None if memory_reservation is None else _mebibytes(memory_reservation, "memory_reservation")
        limit = None if memory_limit is None else _mebibytes(memory_limit, "memory_limit")
        spec = vim.ResourceConfigSpec(
            cpuAllocation=_changed(cpu_reservation, cpu_limit, cpu_shares, "cpu"),
            memoryAllocation=_changed(reservation, limit, memory_shares, "memory"),
        )
        with translated(pool):
            thing.UpdateConfig(None if name is None else escaped_name(name), spec)
        return self._shown(thing)

    @vsphere.operation(kind="job", destroys=True)
    def pool_delete(self, pool: str, job: Job[Deleted]) -> Deleted:
        """Delete a resource pool. Its VMs and pools go to the pool above it. A vApp has to be empty, for it would delete its VMs."""
        thing = self._pool(pool)
        record = self._shown(thing)
        if isinstance(thing, vim.VirtualApp) and record.vms:
            raise InvalidStateError(
                f"the vApp {record.path!r} has {record.vms} VMs", resource=pool, hint="move or delete them first"
            )
        if not isinstance(self._connection.read(thing, ["parent"])["parent"], vim.ResourcePool):
            raise InvalidStateError(f"{record.path!r} belongs to its cluster or host", resource=pool, hint="name a pool below it")
        self._run(pool, thing.Destroy_Task, job)
        return Deleted(name=record.name, removed=(record.path,))

    def _pool(self, text: str) -> Any:
        return self._find(vim.ResourcePool, text, "resource pool")

    def _parent(self, text: str) -> Any:
        """Return a pool, or the root pool of a cluster or host."""
        thing = self._any(text)
        if isinstance(thing, vim.HostSystem):
            thing = self._connection.read(thing, ["parent"])["parent"]
        if isinstance(thing, vim.ComputeResource):
            thing = self._connection.read(thing, ["resourcePool"])["resourcePool"]
        if not isinstance(thing, vim.ResourcePool):
            problem = SpecProblem("parent", text, "a resource pool, cluster or host")
            raise InvalidSpecError("no resource pool can be there", resource=text, problems=[problem])
        return thing

    def _vm_folder(self, thing: Any) -> Any:
        return self._connection.read(self._connection.datacenter_thing(thing), ["vmFolder"])["vmFolder"]

    def _shown(self, thing: Any) -> ResourcePool:
        return _record(thing, self._connection.read(thing, PROPERTIES), self._path(thing))


def _record(thing: Any, read: dict[str, Any], path: str) -> ResourcePool:
    cpu, memory = read["config.cpuAllocation"], read["config.memoryAllocation"]
    return ResourcePool(
        name=plain_name(read["name"]),
        path=path,
        kind="vapp" if isinstance(thing, vim.VirtualApp) else "pool",
        cpu_shares=cpu.shares.shares,
        cpu_level=str(cpu.shares.level),
        cpu_reservation_mhz=cpu.reservation or 0,
        cpu_limit_mhz=_limit(cpu.limit),
        memory_shares=memory.shares.shares,
        memory_level=str(memory.shares.level),
        memory_reservation_bytes=(memory.reservation or 0) * MIB,
        memory_limit_bytes=None if _limit(memory.limit) is None else memory.limit * MIB,
        vms=len(read.get("vm") or ()),
        id=thing._moId,
    )


def _limit(value: int | None) -> int | None:
    return None if value is None or value < 0 else value


def _mebibytes(text: str, field: str) -> int:
    """Return a size in vSphere's unit; -1 for "unlimited"."""
    if text in ("unlimited", "-1"):
        return -1
    size = int(parse_size(text))
    if size % MIB:
        raise InvalidSpecError("vSphere counts memory in MiB", problems=[SpecProblem(field, text, "whole MiB")])
    return size // MIB


def _shares(text: str, field: str) -> Any:
    if text in ("low", "normal", "high"):
        return vim.SharesInfo(shares=0, level=text)
    if text.isdigit() and int(text):
        return vim.SharesInfo(shares=int(text), level="custom")
    raise InvalidSpecError("invalid shares", problems=[SpecProblem(f"{field}_shares", text, "low, normal, high, or a number")])


def _allocation(reservation: int, limit: int, shares: str, field: str) -> Any:
    return vim.ResourceAllocationInfo(
        reservation=reservation, limit=limit, expandableReservation=True, shares=_shares(shares, field)
    )


def _changed(reservation: int | None, limit: int | None, shares: str | None, field: str) -> Any:
    """Return the change of an allocation. vSphere keeps what is not in it, also what another client has changed meanwhile."""
    return vim.ResourceAllocationInfo(
        reservation=reservation, limit=limit, shares=None if shares is None else _shares(shares, field)
    )


__all__ = ["VSphereResourcePools"]
