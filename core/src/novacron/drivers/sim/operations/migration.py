"""Migration of VMs to other simulated hosts and between storage pools.

A simulated volume belongs to one host. With `storage="shared"`, storage pools of the same name count as one storage that both hosts use:
the VM's volumes get another owner and are not transferred. With "copy" their bytes are transferred too, with the same bandwidth.
Without a bandwidth a migration takes no time. With one it takes as long as the transfer of its bytes.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from novacron.drivers.sim.area import Area, SimConnection, simulated
from novacron.drivers.sim.migration.precheck import failures, moving_places
from novacron.drivers.sim.migration.transfer import Transfer
from novacron.drivers.sim.state.disks import add_volume, copied, remove_volume, sized, with_volume
from novacron.drivers.sim.state.machine import SimVM
from novacron.drivers.sim.state.nics import addressed
from novacron.drivers.sim.state.world import World
from novacron.errors import DeviceNotFoundError, InvalidStateError, MigrationCheckError
from novacron.jobs import Job
from novacron.records.migration import MigrationCheck, MigrationReport
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs.migration import MigrationSpec


class SimMigration(Area):
    """Checks, runs and tunes migrations."""

    @simulated
    def migration_check(self, vm: str, to: Any, spec: MigrationSpec) -> MigrationCheck:
        """Run all pre-checks."""
        return self._check(vm, to, spec)

    @simulated
    def vm_migrate(self, vm: str, to: Any, spec: MigrationSpec, job: Job[MigrationReport]) -> MigrationReport:
        """Transfer the memory, then hand the VM over in one step. Before that step it is on the source, afterwards on the destination."""
        began = time.monotonic()
        job.report("checking", 0.0)
        check = self._check(vm, to, spec)  # before the lock is taken: it takes both hosts' in their order
        with self.world.lock:
            sim_vm = self.changing(vm, "migrate") if check.ok else self.look(vm)
            if not check.ok:
                raise MigrationCheckError(
                    f"{sim_vm.name!r} can't move from {self.connection.name} to {to.name}",
                    failures=list(check.failures),
                    resource=sim_vm.name,
                    hint="fix these problems first; migration_check checks again",
                )
            memory = sim_vm.memory if sim_vm.active else 0
            disks = (
                sum(self.world.volume(p).allocated for p in moving_places(self.world, sim_vm)) if spec.storage != "shared" else 0
            )
            dirty = sim_vm.native.get("dirty_bytes_per_second", 0) if sim_vm.status == "running" and spec.live else 0
            transfer = sim_vm.migration = Transfer(memory, disks, dirty, spec)
        try:
            transfer.run(job, lambda: self.checkpoint("vm_migrate", sim_vm.name, sim_vm.id, job=job))
            return self._hand_over(sim_vm, to, spec, job, transfer, began)
        finally:
            sim_vm.migration = None

    @simulated
    def vm_migrate_storage(self, vm: str, pool: str, disks: tuple[str, ...], job: Job[VM]) -> VM:
        """Migrate disks to another storage pool."""
        with ExitStack() as undo:
            with self.world.lock:
                sim_vm = self.changing(vm, "move disks of", "running", "suspended", "stopped", "crashed")
                target = self.world.pool(pool)
                target.check()
                self._check_disks(sim_vm, disks)
                going = [
                    disk
                    for disk in sim_vm.disks
                    if disk.volume
                    and disk.pool
                    and disk.pool != pool
                    and (disk.target in disks or not disks)
                    and (disk.device == "disk" or disk.target in disks)
                ]
                made = set(sim_vm.made)
                moved = {}
                for number, disk in enumerate(going):
                    job.report(f"copying {disk.target}", number / len(going))
                    old = (str(disk.pool), str(disk.volume))
                    new = add_volume(self.world, target, copied(self.world.volume(old), old[1]), undo)
                    made = (made - {old}) | {new}
                    moved[disk.target] = (old, new)
            self.checkpoint("vm_migrate_storage", sim_vm.name, sim_vm.id, job=job)
            job.raise_if_cancelled()
            with self.world.lock:
                undo.pop_all()
                owned, sim_vm.made = sim_vm.made, frozenset(made)
                sim_vm.disks = tuple(
                    with_volume(self.world, disk, moved[disk.target][1]) if disk.target in moved else disk
                    for disk in sim_vm.disks
                )
                for old, _ in moved.values():
                    if old in owned and not self.world.users(old):
                        remove_volume(self.world, old)
                self.world.tell("vm.device", sim_vm, reason="moved", pool=pool, disks=sorted(moved))
                job.report("done", 1.0)
                return self.record(sim_vm)

    @simulated
    def migration_tune(self, vm: str, bandwidth: int | None, max_downtime: float | None, post_copy: bool) -> VM:
        """Change the settings of a running migration."""
        with self.world.lock:
            sim_vm = self.world.find(vm)
            transfer: Transfer | None = sim_vm.migration
            if transfer is None:
                raise InvalidStateError(
                    f"{sim_vm.name!r} is not being migrated",
                    resource=sim_vm.name,
                    hint="a migration can be tuned only while it runs",
                )
            transfer.tune(bandwidth, max_downtime, post_copy)
            return self.record(sim_vm)

    def _check(self, vm: str, to: Any, spec: MigrationSpec) -> MigrationCheck:
        destination = to.driver.native
        with self.world.lock:
            sim_vm = self.world.find(vm)
        if not isinstance(destination, SimConnection):
            found_failures: tuple[str, ...] = (f"{to.name} is not a simulated host",)
        elif destination.closed:
            found_failures = (f"the connection to {to.name} is closed",)
        else:
            with both(self.world, destination.world):
                sim_vm = self.world.find(vm)
                found_failures = tuple(failures(self.world, sim_vm, destination.world, to.name, spec))
        warnings: tuple[str, ...] = ()
        if spec.storage == "shared" and sim_vm.made:
            warnings = ("storage pools of the same name are taken for one storage that both hosts reach",)
        return MigrationCheck(
            vm=sim_vm.id, source=self.connection.name, destination=to.name, failures=found_failures, warnings=warnings
        )

    def _hand_over(
        self, vm: SimVM, to: Any, spec: MigrationSpec, job: Job[MigrationReport], transfer: Transfer, began: float
    ) -> MigrationReport:
        there: SimConnection = to.driver.native
        with both(self.world, there.world):
            vm.migration = None
            again = tuple(failures(self.world, vm, there.world, to.name, spec))
            if again:  # the world went on while the memory was sent
                raise MigrationCheckError(
                    f"{vm.name!r} can't move from {self.connection.name} to {to.name} any more",
                    failures=list(again),
                    resource=vm.name,
                )
            job.raise_if_cancelled()
            for place in moving_places(self.world, vm):
                volume = self.world.pools[place[0]].volumes.pop(place[1])
                volume.backing = None if spec.storage == "copy" else volume.backing  # a whole copy has all the content itself
                there.world.pools[place[0]].volumes[place[1]] = volume
            self.world.drop(vm)
            there.world.add(vm)
            if vm.active:
                vm.started = time.monotonic()  # the counters of a VM count on one host, as with libvirt
            self.world.tell("vm.deleted", vm, reason="migrated", to=to.name)
            there.world.tell("vm.defined", vm, reason="migrated")
            if vm.active:
                there.world.tell("vm.status", vm, reason="migrated")
            record = vm.record(to.name, there.world.name, disks=sized(there.world, vm), nics=addressed(there.world, vm))
        job.report("done", 1.0, transferred_bytes=transfer.sent, remaining_bytes=0, total_bytes=transfer.total)
        return MigrationReport(
            vm=record,
            source=self.connection.name,
            destination=to.name,
            live=spec.live,
            total_seconds=time.monotonic() - began,
            downtime_seconds=transfer.downtime(),
            transferred_bytes=transfer.sent,
            native=spec.model_dump(mode="json", exclude_unset=True),
        )

    def _check_disks(self, vm: SimVM, disks: tuple[str, ...]) -> None:
        unknown = sorted(set(disks) - {disk.target for disk in vm.disks})
        if unknown:
            raise DeviceNotFoundError(f"{vm.name!r} has no disk {unknown[0]!r}", resource=vm.name)
        if vm.snapshots:
            raise InvalidStateError(
                f"can't move disks of {vm.name!r}: it has snapshots", resource=vm.name, hint="delete its snapshots first"
            )


def both(one: World, other: World) -> ExitStack:
    """Hold the locks of two hosts, always in the same order, so that two opposite migrations do not deadlock."""
    stack = ExitStack()
    for world in sorted((one, other), key=lambda w: w.name):
        stack.enter_context(world.lock)
    return stack


__all__ = ["SimMigration", "both"]
