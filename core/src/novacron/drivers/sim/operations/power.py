"""Power operations: start, stop, suspend, save."""

from __future__ import annotations

import time
from typing import Literal

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.machine import SimVM
from novacron.drivers.sim.state.world import World
from novacron.errors import DiskLockedError, InvalidStateError, NetworkNotFoundError, OperationTimeoutError
from novacron.jobs import Job
from novacron.records.disks import Disk
from novacron.records.vm import VM, Status

POLL = 0.02
"""Seconds between two checks of a guest that shuts down."""


class SimPower(Area):
    """Changes the status of VMs."""

    @simulated
    def vm_start(self, vm: str) -> VM:
        """Start a VM, or restore a saved one."""
        with self.world.lock:
            sim_vm = self.changing(vm, "start", "stopped", "crashed", "saved")
            start(self.world, sim_vm, "restored" if sim_vm.status == "saved" else "booted")
            return self.record(sim_vm)

    @simulated
    def vm_stop(self, vm: str) -> VM:
        """Power off."""
        allowed: tuple[Status, ...] = ("running", "suspended", "stopping", "crashed", "sleeping")
        return self._change(vm, "stop", allowed, "stopped", "destroyed")

    @simulated
    def vm_reboot(self, vm: str) -> VM:
        """Ask the guest to reboot."""
        return self._change(vm, "reboot", ("running",), "running", "rebooted")

    @simulated
    def vm_reset(self, vm: str) -> VM:
        """Reset."""
        return self._change(vm, "reset", ("running",), "running", "reset")

    @simulated
    def vm_suspend(self, vm: str) -> VM:
        """Suspend. A suspended VM stays suspended."""
        return self._change(vm, "suspend", ("running", "suspended"), "suspended", "user", keep=True)

    @simulated
    def vm_resume(self, vm: str) -> VM:
        """Resume. A running VM stays running."""
        return self._change(vm, "resume", ("suspended", "running"), "running", "resumed", keep=True)

    @simulated
    def vm_shutdown(self, vm: str, seconds: float, otherwise: Literal["fail", "stop"], job: Job[VM]) -> VM:
        """Ask the guest to shut down. It does so at once, unless the VM has `native={"ignores_shutdown": True}`."""
        began = time.monotonic()
        with self.world.lock:
            sim_vm = self.changing(vm, "shut down", "running")
        while sim_vm.native.get("ignores_shutdown") and sim_vm.status == "running":
            left = seconds - (time.monotonic() - began)
            if left <= 0:
                break
            job.report("waiting for the guest", min(1.0, 1 - left / seconds))
            job.wait_cancelled(min(POLL, left))
            job.raise_if_cancelled()
        with self.world.lock:
            if sim_vm.status == "running":
                if sim_vm.native.get("ignores_shutdown") and otherwise == "fail":
                    raise OperationTimeoutError(
                        f"the guest of {sim_vm.name!r} did not shut down within {seconds:g} s",
                        resource=sim_vm.name,
                        hint="it still runs; stop powers it off, otherwise='stop' does so automatically",
                    )
                self.world.set_status(sim_vm, "stopped", "destroyed" if sim_vm.native.get("ignores_shutdown") else "shutdown")
            return self.record(sim_vm)

    @simulated
    def vm_save(self, vm: str, job: Job[VM]) -> VM:
        """Save the memory and power off."""
        job.report("saving memory")
        with self.world.lock:
            job.raise_if_cancelled()
            return self._change(vm, "save", ("running", "suspended"), "saved", "saved")

    @simulated
    def vm_restore(self, vm: str, job: Job[VM]) -> VM:
        """Resume with the saved memory."""
        job.report("restoring memory")
        with self.world.lock:
            job.raise_if_cancelled()
            sim_vm = self.changing(vm, "restore", "saved")
            start(self.world, sim_vm, "restored")
            return self.record(sim_vm)

    def _change(self, key: str, action: str, allowed: tuple[Status, ...], to: Status, reason: str, *, keep: bool = False) -> VM:
        with self.world.lock:
            sim_vm = self.changing(key, action, *allowed)
            if not (keep and sim_vm.status == to):
                self.world.set_status(sim_vm, to, reason)
            return self.record(sim_vm)


def start(world: World, vm: SimVM, reason: str) -> None:
    """Set the VM's status to running.

    Raises:
        NetworkNotFoundError, InvalidStateError: a network does not exist or is not active.
        DiskLockedError: another VM uses a disk.
    """
    for nic in vm.nics:
        if nic.type != "network":
            continue
        network = world.networks.get(nic.network or "")
        if network is None:
            raise NetworkNotFoundError(f"can't start {vm.name!r}: there is no network {nic.network!r}", resource=vm.name)
        if not network.active:
            raise InvalidStateError(
                f"can't start {vm.name!r}: the network {nic.network!r} is not active",
                resource=vm.name,
                hint="start the network first",
            )
    refuse_locked(world, vm, vm.disks)
    world.set_status(vm, "running", reason)


def refuse_locked(world: World, vm: SimVM, disks: tuple[Disk, ...]) -> None:
    """Raise DiskLockedError if another running VM uses one of these disks and may write to it."""
    mine = {(d.pool, d.volume) for d in disks if d.volume and not d.shareable and not d.read_only}
    for pool, volume in mine:
        held = world.pools[pool].volumes.get(volume) if pool in world.pools else None
        if held is not None and held.locked:
            raise DiskLockedError(
                f"{vm.name!r} can't use the volume {volume}: another machine holds its lock",
                resource=vm.name,
                hint="find out which VM uses the volume, and stop it first",
            )
    for other in world.vms.values():
        for disk in other.disks if other is not vm and other.active else ():
            if (disk.pool, disk.volume) in mine:
                raise DiskLockedError(
                    f"{vm.name!r} can't use the disk {disk.source}: {other.name!r} uses it",
                    resource=vm.name,
                    hint=f"stop {other.name!r} first, or make the disk shareable in both",
                )


__all__ = ["SimPower", "refuse_locked", "start"]
