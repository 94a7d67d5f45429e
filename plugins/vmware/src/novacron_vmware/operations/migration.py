"""Moving VMs: between nodes, datacenters and vCenters (vMotion), and between datastores (storage vMotion)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from novacron.errors import (
    DeviceNotFoundError,
    MigrationCheckError,
    MigrationError,
    NotFoundError,
    NovaCronError,
    OperationTimeoutError,
    VMNotFoundError,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.migration import MigrationCheck, MigrationReport
from novacron.records.vm import VM
from novacron_vmware.devices import places
from novacron_vmware.errors import translated
from novacron_vmware.migration import between_vcenters
from novacron_vmware.placement import DEFAULT, Placement, find_network, find_placement, find_store
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron.specs.migration import MigrationSpec
    from novacron_vmware.connection import VMwareConnection


class VMwareMigration(VMOperations):
    """Checks and makes migrations."""

    @hookimpl
    def migration_check(self, vm: str, to: Any, spec: MigrationSpec) -> MigrationCheck:
        """Look at both sides, and let vCenter check it too."""
        thing = self._find(vm)
        record = self._read(thing)
        found = list(self._failures(record, to, spec))
        warnings = list[str]()
        if not found:
            relocate = self._relocate(thing, record, to, spec)
            errors, warnings = self._server_check(thing, relocate)
            found += errors
        return MigrationCheck(
            vm=record.id, source=self._connection.name, destination=to.name, failures=tuple(found), warnings=tuple(warnings)
        )

    @hookimpl
    def vm_migrate(self, vm: str, to: Any, spec: MigrationSpec, job: Job[MigrationReport]) -> MigrationReport:
        """Move a VM. vCenter itself undoes a migration that fails or is cancelled: the VM then is where it was."""
        thing, record = self._changing(vm, "migrate", "running", "suspended", "stopped")
        began = time.monotonic()
        job.report("checking", 0.0)
        failures = self.migration_check(vm, to, spec).failures
        if failures:
            raise MigrationCheckError(
                f"{record.name!r} can't move from {self._connection.name} to {to.name}",
                failures=list(failures),
                resource=record.name,
                hint="fix these problems first; migration_check checks again",
            )
        job.raise_if_cancelled()
        with translated(record.name):
            task = thing.RelocateVM_Task(self._relocate(thing, record, to, spec), "defaultPriority")
        try:
            self._connection.wait(task, resource=record.name, job=job, seconds=spec.deadline)
        except OperationTimeoutError as error:
            raise self._after_deadline(vm, record, to, spec) from error
        moved, more = to.driver.native, dict[str, Any]()
        if not self._same_server(moved):
            more = between_vcenters.arrived(moved, record)
        elif moved.root != self._connection.root:
            self._connection.inventory.restart()
            moved.inventory.restart()
        with translated(record.name):
            now = type(self)(moved)._read(moved.inventory.find(record.id))
        return MigrationReport(
            vm=now,
            source=self._connection.name,
            destination=to.name,
            live=spec.live and record.status == "running",
            total_seconds=time.monotonic() - began,
            native={"from_node": record.node, "to_node": now.node} | more,
        )

    @hookimpl
    def vm_migrate_storage(self, vm: str, pool: str, disks: tuple[str, ...], job: Job[VM]) -> VM:
        """Move disks to another datastore; with none named also the VM's own files."""
        thing, record = self._changing(vm, "move disks of", "running", "suspended", "stopped")
        _, store = find_store(self._connection, pool, self._connection.datacenter_thing(thing))
        named = dict(places(self._connection.read(thing, ["config.hardware.device"])["config.hardware.device"]))
        unknown = sorted(set(disks) - set(named))
        if unknown:
            raise DeviceNotFoundError(f"{record.name!r} has no disk {unknown[0]!r}", resource=record.name)
        relocate = vim.vm.RelocateSpec()
        if disks:
            relocate.disk = [vim.vm.RelocateSpec.DiskLocator(diskId=named[disk].key, datastore=store) for disk in disks]
        else:
            relocate.datastore = store
        job.report("moving disks", 0.0)
        with translated(record.name):
            self._connection.wait(thing.RelocateVM_Task(relocate, "defaultPriority"), resource=record.name, job=job)
        return self._read(thing)

    def _failures(self, record: VM, to: Any, spec: MigrationSpec) -> Iterator[str]:
        there = to.driver.native
        if type(there) is not type(self._connection):
            yield f"{to.name} is no vSphere"
            return
        if spec.storage == "copy-top":
            yield "storage='copy-top' is not possible: vSphere moves whole disks, storage='copy'"
        if not spec.live and record.status == "running":
            yield f"{record.name!r} runs: stop it first, or migrate it live"
        if not self._same_server(there):
            yield from between_vcenters.failures(self._connection, there, record, to.name, spec)
        same = self._same_server(there) and there.root == self._connection.root
        if same and not (spec.pool or spec.folder or spec.node):
            yield "a migration within one host needs node=..., pool=... or folder=..."
            return
        if same and spec.node and not (spec.pool or spec.folder) and self._is_on(record, spec.node):
            yield f"{record.name!r} is on {record.node} already"
        yield from self._placement_failures(there, record, to.name, spec)
        own = {self._connection.inventory.find(record.id)} if self._same_server(there) else set()
        if not same and there.inventory.named(record.name) - own:
            yield f"a VM {record.name!r} is already on {to.name}"

    def _is_on(self, record: VM, node: str) -> bool:
        """Whether a VM is on a node, named in any way; a node that is not there is told by the placement."""
        try:
            found = self._connection.finder.find(vim.HostSystem, node, noun="node", error=NotFoundError)
        except NovaCronError:
            return False
        return bool(self._connection.inventory.node_name(found) == record.node)

    def _placement_failures(self, there: VMwareConnection, record: VM, name: str, spec: MigrationSpec) -> Iterator[str]:
        """Yield what is wrong with the destination: node, folder, datastore, and the networks of the VM's NICs."""
        place: Placement | None = None
        try:
            if spec.node:
                there.finder.find(vim.HostSystem, spec.node, noun="node", error=NotFoundError)  # a plain error, not one of a spec
            place = self._placement(there, record, spec)
            if spec.pool:
                find_store(there, spec.pool, place.datacenter)
        except NovaCronError as error:
            yield f"{name}: {error}" + (f" ({error.hint})" if error.hint and not getattr(error, "problems", None) else "")
        if not self._same_server(there) or spec.networks or (place and self._leaves(record, place)):
            yield from self._network_failures(there, record, name, place.datacenter if place else None, spec)

    def _network_failures(
        self, there: VMwareConnection, record: VM, name: str, datacenter: Any, spec: MigrationSpec
    ) -> Iterator[str]:
        for network in sorted({nic.network for nic in record.nics or () if nic.network}):
            wanted = spec.networks.get(network, network)
            try:
                find_network(there, wanted, datacenter)
            except NotFoundError as error:
                yield f"{name} has no network {wanted!r}: say which takes its place, networks={{{network!r}: ...}} ({error.hint})"
            except NovaCronError as error:
                yield f"{name}: {error} ({error.hint})"
        for network in sorted(set(spec.networks) - {nic.network for nic in record.nics or ()}):
            yield f"networks: no NIC of {record.name!r} is on {network!r}"

    def _placement(self, there: VMwareConnection, record: VM, spec: MigrationSpec) -> Placement:
        """Return where a migration goes. Without a node it stays on its own, where the destination is the same datacenter."""
        native = {"folder": spec.folder} if spec.folder else {}
        node = spec.node
        if node is None and self._same_server(there) and there.root == self._connection.root and not spec.folder:
            node = record.node
        return find_placement(there, record.name, node=node, memory=record.memory_bytes, native=native)

    def _leaves(self, record: VM, place: Placement) -> bool:
        """Whether a VM goes to another datacenter, where the port groups of this one do not exist."""
        thing = self._connection.inventory.find(record.id)
        return bool(self._connection.datacenter_thing(thing) != place.datacenter)

    def _same_server(self, there: VMwareConnection) -> bool:
        ours, theirs = (each.content.about.instanceUuid or each.address for each in (self._connection, there))
        return bool(ours == theirs)

    def _relocate(self, thing: Any, record: VM, to: Any, spec: MigrationSpec) -> Any:
        there = to.driver.native
        if not self._same_server(there):
            return between_vcenters.relocation(self._connection, there, thing, record, spec)
        place = self._placement(there, record, spec)
        elsewhere = self._connection.datacenter_thing(thing) != place.datacenter
        relocate = vim.vm.RelocateSpec()
        if elsewhere or spec.node or there.root != self._connection.root:
            relocate.host = place.able  # without one vCenter would want DRS to choose
            relocate.pool = None if self._is_in_cluster_of(thing, place.pool) else place.pool
        if elsewhere or spec.folder:
            relocate.folder = place.folder
        if spec.pool or (elsewhere and spec.storage != "shared"):
            _, relocate.datastore = find_store(there, spec.pool or DEFAULT, place.datacenter)
        if elsewhere or spec.networks:
            relocate.deviceChange = list(between_vcenters.rewired(self._connection, there, thing, record, spec, place.datacenter))
        return relocate

    def _is_in_cluster_of(self, thing: Any, pool: Any) -> bool:
        """Whether a VM is in a resource pool of the same cluster or single node as this one; it stays in its own then."""
        now = self._connection.read(thing, ["resourcePool"]).get("resourcePool")
        owners = dict(self._connection.read_all([each for each in (now, pool) if each], vim.ResourcePool, ["owner"]))
        own, other = (owners.get(each, {}).get("owner") for each in (now, pool))  # None if it was deleted meanwhile
        return own is not None and bool(own == other)

    def _server_check(self, thing: Any, relocate: Any) -> tuple[list[str], list[str]]:
        """Let vCenter look: CheckRelocate, where there is one (an ESXi has none)."""
        checker = getattr(self._connection.content, "vmProvisioningChecker", None)
        if checker is None:
            return [], []
        try:
            results = self._connection.wait(checker.CheckRelocate_Task(thing, relocate, None), resource="migration check")
        except NovaCronError as error:
            return [], [f"vCenter could not check it: {error}"]
        errors = [fault.msg or type(fault).__name__ for result in results or () for fault in result.error or ()]
        return errors, [fault.msg or type(fault).__name__ for result in results or () for fault in result.warning or ()]

    def _after_deadline(self, vm: str, record: VM, to: Any, spec: MigrationSpec) -> MigrationError:
        """Say where a VM is whose migration took too long: vCenter was told to cancel it."""
        until = time.monotonic() + 60
        try:
            thing = self._connection.inventory.find(record.id)
        except VMNotFoundError:  # it went to another vCenter while it was told to stop
            return MigrationError(
                f"the migration of {record.name!r} took more than {spec.deadline:g} s, and it has left {self._connection.name}",
                resource=record.name,
                outcome="unknown",
                hint=f"look for it on {to.name}",
            )
        while time.monotonic() < until:
            tasks = self._connection.read(thing, ["recentTask"]).get("recentTask") or ()
            if all(self._connection.read(t, ["info.state"]).get("info.state") not in ("queued", "running") for t in tasks):
                now = self._read(thing)
                return MigrationError(
                    f"the migration of {record.name!r} took more than {spec.deadline:g} s and was cancelled: it is on {now.node}",
                    resource=record.name,
                    outcome="failed",
                    hint="give a longer deadline",
                )
            time.sleep(0.5)
        return MigrationError(
            f"the migration of {record.name!r} to {to.name} did not end within {spec.deadline:g} s, nor when cancelled",
            resource=record.name,
            outcome="unknown",
            hint=f"last seen on {record.node}",
        )


__all__ = ["VMwareMigration"]
