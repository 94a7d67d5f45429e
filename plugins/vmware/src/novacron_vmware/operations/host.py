"""The vCenter or ESXi itself, and its member hosts."""

from __future__ import annotations

import time

from novacron.plugins import hookimpl
from novacron.records.host import Host, Node, Ping
from novacron_vmware.connection import VMwareConnection
from novacron_vmware.errors import translated
from novacron_vmware.sdk import vim

NODE = (
    "name",
    "summary.hardware.numCpuThreads",
    "summary.hardware.memorySize",
    "runtime.connectionState",
    "runtime.inMaintenanceMode",
)


class VMwareHost:
    """Describes the host."""

    def __init__(self, connection: VMwareConnection) -> None:
        self._connection = connection

    @hookimpl
    def host_info(self) -> Host:
        """Describe it; its size is that of all its nodes."""
        about, nodes = self._connection.content.about, self.node_list()
        return Host(
            name=self._connection.name, uri=self._connection.uri, driver="vmware", hypervisor=about.name, version=about.version,
            hostname=self._connection.name, cpus=sum(n.cpus for n in nodes), memory_bytes=sum(n.memory_bytes for n in nodes),
            native={"build": about.build, "api_type": about.apiType, "api_version": about.apiVersion, "full_name": about.fullName},
        )  # fmt: skip

    @hookimpl
    def host_ping(self) -> Ping:
        """Ask for the server's time, the cheapest call that needs the session."""
        began = time.perf_counter()
        with translated():
            vim.ServiceInstance("ServiceInstance", self._connection.content.viewManager._stub).CurrentTime()
        return Ping(
            host=self._connection.name,
            latency_seconds=time.perf_counter() - began,
            version=self._connection.content.about.version,
        )

    @hookimpl
    def node_list(self) -> list[Node]:
        """List the member hosts."""
        nodes = []
        for _, found in self._connection.collect(vim.HostSystem, NODE):
            connected = found.get("runtime.connectionState") == "connected"
            status = "maintenance" if found.get("runtime.inMaintenanceMode") else "up" if connected else "down"
            nodes.append(Node(
                name=found["name"], host=self._connection.name, cpus=int(found.get("summary.hardware.numCpuThreads", 0)),
                memory_bytes=int(found.get("summary.hardware.memorySize", 0)), status=status,
            ))  # fmt: skip
        return sorted(nodes, key=lambda node: node.name)


__all__ = ["VMwareHost"]
