"""The simulated host itself."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.world import CPU_MODELS, VERSION
from novacron.errors import InvalidSpecError, SpecProblem
from novacron.records.host import Capabilities, CPUBaseline, Expiration, Host, HostStats, Node, Ping


class SimHost(Area):
    """Describes the host."""

    @simulated
    def host_info(self) -> Host:
        """Return the size of the host."""
        return Host(
            name=self.connection.name,
            uri=self.connection.uri,
            driver="sim",
            hypervisor="simulation",
            version=VERSION,
            hostname=self.world.name,
            arch="x86_64",
            cpus=self.world.cpus,
            memory_bytes=self.world.memory_bytes,
        )

    @simulated
    def host_stats(self) -> HostStats:
        """Return the current use of the host."""
        with self.world.lock:
            active = [vm for vm in self.world.all() if vm.active]
            used = sum(vm.memory for vm in active)
            running = [vm for vm in active if vm.status == "running"]
            busy = sum(vm.vcpus for vm in running) * 10.0 / self.world.cpus
            return HostStats(
                host=self.connection.name,
                cpus=self.world.cpus,
                memory_bytes=self.world.memory_bytes,
                memory_free_bytes=max(0, self.world.memory_bytes - used),
                vms_total=self.world.count(),
                vms_running=len(running),
                cpu_percent=min(100.0, busy),
            )

    @simulated
    def host_lock_manager(self) -> str:
        """Return what the simulation is set to."""
        return self.world.lock_manager

    @simulated
    def host_cpu_baseline(self, others: Sequence[str]) -> CPUBaseline:
        """Return the oldest of the models."""
        for other in others:
            if other not in CPU_MODELS:
                problem = SpecProblem("others", other, f"one of {', '.join(CPU_MODELS)}")
                raise InvalidSpecError("no description of a simulated CPU", problems=[problem])
        model = min([self.world.cpu_model, *others], key=CPU_MODELS.index)
        return CPUBaseline(model=model, vendor="simulated", nodes=(self.world.name,), description=model)

    @simulated
    def host_expirations(self) -> list[Expiration]:
        """List what expires: what a test put there."""
        with self.world.lock:
            return sorted(self.world.expirations, key=lambda one: one.name)

    @simulated
    def host_capabilities(self) -> Capabilities:
        """Return what VMs the host can run."""
        return Capabilities(
            host=self.connection.name,
            driver="sim",
            operations=(),
            virt_types=("kvm", "qemu"),
            virt_type="kvm",
            virt_type_reason="simulated",
            architectures=tuple(sorted(self.world.architectures)),
            machines=dict(self.world.architectures),
            firmwares=("bios", "uefi", "uefi-secure"),
            cpu_model="simulated",
        )

    @simulated
    def host_ping(self) -> Ping:
        """Answer at once."""
        began = time.monotonic()
        with self.world.lock:
            return Ping(
                host=self.connection.name, latency_seconds=time.monotonic() - began + self.world.faults.latency, version=VERSION
            )

    @simulated
    def node_list(self) -> list[Node]:
        """List the one machine."""
        return [
            Node(
                name=self.world.name,
                host=self.connection.name,
                cpus=self.world.cpus,
                memory_bytes=self.world.memory_bytes,
                id=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.world.name}.sim")),
                balanced_by=self.world.balanced_by,
                restarted_by=self.world.restarted_by,
            )
        ]


__all__ = ["SimHost"]
