"""Diagnosis of the simulated host and its VMs."""

from __future__ import annotations

from novacron.drivers.sim.area import Area, simulated
from novacron.records.diagnosis import Finding, ok, problem, warning


class SimDiagnosis(Area):
    """Checks what only the simulation can see."""

    @simulated
    def host_diagnose(self) -> list[Finding]:
        """Report that guests are simulated, and faults that were injected."""
        name, faults = self.connection.name, self.world.faults
        found = [ok("kvm", name, "guests are simulated")]
        if faults.latency:
            text = f"each call takes {faults.latency * 1000:g} ms longer"
            found.append(warning("latency", name, text, "leave latency= out of the URI"))
        return found

    @simulated
    def vm_diagnose(self, vm: str) -> list[Finding]:
        """Check that the storage pool of each disk is active."""
        with self.world.lock:
            sim_vm = self.look(vm)
            found = []
            for disk in sim_vm.disks:
                pool = self.world.pools.get(disk.pool or "")
                if pool is None:
                    continue
                if pool.active:
                    found.append(ok("disk", sim_vm.name, f"the storage pool {pool.name!r} of the disk {disk.target} is active"))
                else:
                    text = f"the storage pool {pool.name!r} of the disk {disk.target} is not active"
                    found.append(problem("disk", sim_vm.name, text, f"start it: `novacron pool start {pool.name}`"))
            return found


__all__ = ["SimDiagnosis"]
