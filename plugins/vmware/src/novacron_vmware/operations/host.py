"""The vCenter or ESXi itself, and its member hosts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from novacron.errors import UnsupportedOperationError
from novacron.plugins import hookimpl
from novacron.records.host import Capabilities, CPUBaseline, Expiration, Host, HostStats, Node, Ping
from novacron_vmware.cluster_services import CLUSTER, services_of
from novacron_vmware.errors import translated
from novacron_vmware.evc import lowest_mode
from novacron_vmware.limits import limits
from novacron_vmware.names import plain_name
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations

NODE = (
    "name",
    "summary.hardware.uuid",
    "summary.hardware.numCpuThreads",
    "summary.hardware.memorySize",
    "summary.hardware.cpuMhz",
    "summary.hardware.cpuModel",
    "summary.quickStats.overallCpuUsage",
    "summary.quickStats.overallMemoryUsage",
    "summary.config.product.version",
    "runtime.connectionState",
    "runtime.inMaintenanceMode",
)


class VMwareHost(VMOperations):
    """Describes the host; its size is that of all its nodes."""

    @hookimpl
    def host_info(self) -> Host:
        """Describe it."""
        about, nodes = self._connection.content.about, self.node_list()
        return Host(
            name=self._connection.name,
            uri=self._connection.uri,
            driver="vmware",
            hypervisor=about.name,
            version=about.version,
            hostname=self._connection.name,
            arch="x86_64",
            cpus=sum(n.cpus for n in nodes),
            memory_bytes=sum(n.memory_bytes for n in nodes),
            native={
                "build": about.build,
                "api_type": about.apiType,
                "api_version": about.apiVersion,
                "full_name": about.fullName,
            },
        )

    @hookimpl
    def host_ping(self) -> Ping:
        """Ask for the server's time, the cheapest call that needs the session."""
        began = time.perf_counter()
        with translated():
            vim.ServiceInstance("ServiceInstance", self._connection.session).CurrentTime()
        return Ping(
            host=self._connection.name,
            latency_seconds=time.perf_counter() - began,
            version=self._connection.content.about.version,
        )

    @hookimpl
    def host_stats(self) -> HostStats:
        """Add up what the nodes have and use, as their quick statistics say."""
        nodes, used, speed, busy = 0, 0, 0, 0
        memory = 0
        for _, read in self._connection.collect(vim.HostSystem, NODE):
            threads = int(read.get("summary.hardware.numCpuThreads", 0))
            nodes, memory = nodes + threads, memory + int(read.get("summary.hardware.memorySize", 0))
            used += int(read.get("summary.quickStats.overallMemoryUsage") or 0) * 2**20
            busy += int(read.get("summary.quickStats.overallCpuUsage") or 0)
            speed += int(read.get("summary.hardware.cpuMhz") or 0) * threads
        vms = [read for _, read in self._connection.inventory.vms()]
        return HostStats(
            host=self._connection.name,
            cpus=nodes,
            memory_bytes=memory,
            memory_free_bytes=max(0, memory - used),
            vms_total=len(vms),
            vms_running=sum(read.get("runtime.powerState") == "poweredOn" for read in vms),
            cpu_percent=round(100 * busy / speed, 2) if speed else None,
        )

    @hookimpl
    def host_expirations(self) -> list[Expiration]:
        """List the licences that end. Of their keys, only the last group is in the name."""
        manager = self._connection.content.licenseManager
        if manager is None:
            return []
        found = self._connection.read(manager, ["licenses"]).get("licenses") or ()
        ends = [(each, _end_of(each)) for each in found]
        return sorted(
            (
                Expiration(
                    kind="license",
                    name=f"{each.name} {each.licenseKey.rpartition('-')[2]}",
                    host=self._connection.name,
                    expires_at=end.isoformat(),
                )
                for each, end in ends
                if end is not None
            ),
            key=lambda each: each.name,
        )

    @hookimpl
    def host_cpu_baseline(self, others: Sequence[str]) -> CPUBaseline:
        """Return the highest EVC mode that all nodes can have."""
        found = self._connection.collect(vim.HostSystem, ["name", "summary.maxEVCModeKey"])
        nodes = {plain_name(read["name"]): str(read.get("summary.maxEVCModeKey")) for _, read in found}
        if unknown := sorted(name for name, mode in nodes.items() if mode not in self._connection.evc_modes):
            raise UnsupportedOperationError(
                f"these nodes have no EVC mode: {', '.join(unknown)}",
                host=self._connection.name,
                hint="only a vCenter has EVC modes, and a node must be connected to it",
            )
        mode = lowest_mode(self._connection, [*nodes.values(), *others])
        return CPUBaseline(model=mode.key, vendor=mode.vendor, nodes=tuple(sorted(nodes)), description=mode.key)

    @hookimpl
    def host_capabilities(self) -> Capabilities:
        """Tell what its nodes can run: the hardware versions that all of them know."""
        found = self._connection.collect(vim.ComputeResource, ["environmentBrowser"])
        machines: tuple[str, ...] = ()
        browser = next((read.get("environmentBrowser") for _, read in found), None)
        if browser is not None:
            with translated():
                known = browser.QueryConfigOptionDescriptor()
            machines = tuple(sorted((each.key for each in known), key=_version))
        models = {read.get("summary.hardware.cpuModel") for _, read in self._connection.collect(vim.HostSystem, NODE)}
        return Capabilities(
            host=self._connection.name,
            driver="vmware",
            operations=(),
            architectures=("x86_64",),
            machines={"x86_64": machines},
            firmwares=("bios", "uefi", "uefi-secure"),
            cpu_model=models.pop() if len(models) == 1 else None,
            limits=limits(),
        )

    @hookimpl
    def node_list(self) -> list[Node]:
        """List the member hosts."""
        nodes = []
        read = self._connection.collect_kinds({vim.HostSystem: NODE, vim.ClusterComputeResource: CLUSTER})
        services = services_of(found for thing, found in read if isinstance(thing, vim.ClusterComputeResource))
        for thing, found in read:
            if not isinstance(thing, vim.HostSystem):
                continue
            balancer, restarter = services.get(thing._moId, (None, None))
            connected = found.get("runtime.connectionState") == "connected"
            status = "maintenance" if found.get("runtime.inMaintenanceMode") else "up" if connected else "down"
            nodes.append(
                Node(
                    name=found["name"],
                    host=self._connection.name,
                    cpus=int(found.get("summary.hardware.numCpuThreads", 0)),
                    memory_bytes=int(found.get("summary.hardware.memorySize", 0)),
                    id=found.get("summary.hardware.uuid"),
                    status=status,
                    balanced_by=balancer,
                    restarted_by=restarter,
                    native={"version": found.get("summary.config.product.version")},
                )
            )
        return sorted(nodes, key=lambda node: node.name)


def _end_of(license: Any) -> datetime | None:
    """Return when a licence ends; None if it never does. An evaluation tells the hours that are left."""
    told = {each.key: each.value for each in license.properties or ()}
    if isinstance(date := told.get("expirationDate"), datetime):
        return date
    hours = told.get("expirationHours")
    return None if hours is None else datetime.now(UTC) + timedelta(hours=float(hours))


def _version(machine: str) -> tuple[int, str]:
    digits = machine.rpartition("-")[2]
    return (int(digits) if digits.isdigit() else 0, machine)


__all__ = ["VMwareHost"]
