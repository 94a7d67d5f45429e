"""Nodes, the ESXi hosts of a vCenter: maintenance, connection, adding and removing."""

from __future__ import annotations

from typing import Any

from novacron.errors import AuthenticationError, InvalidStateError
from novacron.jobs import Job
from novacron.records.vm import Deleted
from novacron_vmware.names import plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import NodeState
from novacron_vmware.sdk import vim

PROPERTIES = ["name", "parent", "vm", "runtime.connectionState", "runtime.inMaintenanceMode", "runtime.powerState"]
PROPERTIES += ["config.product.version", "summary.config.product", "summary.maxEVCModeKey"]
PASSWORD = "NOVACRON_VSPHERE_NODE_PASSWORD"  # noqa: S105 - the variable's name


class VSphereNodes(NativeOperations):
    """Nodes: list, maintenance with evacuation, connect, disconnect, add, remove."""

    @vsphere.operation(kind="read")
    def node_list(self) -> list[NodeState]:
        """List the nodes as vSphere manages them."""
        found = self._connection.collect(vim.HostSystem, PROPERTIES)
        paths = self._connection.finder.paths([thing for thing, _ in found])
        return sorted((_record(thing, read, paths[thing]) for thing, read in found if thing in paths), key=lambda node: node.path)

    @vsphere.operation(kind="read")
    def node_show(self, node: str) -> NodeState:
        """Show a node."""
        return self._shown(self._node(node))

    @vsphere.operation(kind="job")
    def node_maintenance_enter(
        self, node: str, job: Job[NodeState], evacuate: bool = False, powered_off: bool = False, seconds: float = 0.0
    ) -> NodeState:
        """Let a node enter maintenance mode. It refuses while VMs run there, unless they are moved away.

        If a VM can't be moved, the node does not enter maintenance mode. VMs that have moved stay where they are.

        Args:
            node: its name, inventory path or id.
            evacuate: move its running VMs to other nodes of its cluster.
            powered_off: let vCenter also move VMs that are stopped.
            seconds: how long vSphere tries; 0 for no limit.
        """
        thing = self._node(node)
        running = self._running(thing)
        if running and not evacuate:
            raise InvalidStateError(
                f"{len(running)} VMs run on {node!r}: {', '.join(sorted(running.values())[:5])}",
                resource=node,
                hint="evacuate=True (--evacuate) moves them to other nodes",
            )
        for number, (vm, name) in enumerate(running.items()):
            job.raise_if_cancelled()
            job.report(f"moving {name}", number / len(running))
            self._evacuate(thing, vm, name)
        self._run(node, lambda: thing.EnterMaintenanceMode_Task(int(seconds), powered_off, None), job)
        return self._shown(thing)

    @vsphere.operation(kind="job", idempotent=True)
    def node_maintenance_leave(self, node: str, job: Job[NodeState], seconds: float = 0.0) -> NodeState:
        """Let a node leave maintenance mode.

        Args:
            node: its name, inventory path or id.
            seconds: how long vSphere tries; 0 for no limit.
        """
        thing = self._node(node)
        if self._connection.read(thing, ["runtime.inMaintenanceMode"]).get("runtime.inMaintenanceMode"):
            self._run(node, lambda: thing.ExitMaintenanceMode_Task(int(seconds)), job)
        return self._shown(thing)

    @vsphere.operation(kind="job", idempotent=True)
    def node_disconnect(self, node: str, job: Job[NodeState]) -> NodeState:
        """Disconnect a node from its vCenter. Its VMs continue to run."""
        thing = self._node(node)
        if self._shown(thing).connection != "disconnected":
            self._run(node, thing.DisconnectHost_Task, job)
        return self._shown(thing)

    @vsphere.operation(kind="job", idempotent=True)
    def node_connect(self, node: str, job: Job[NodeState]) -> NodeState:
        """Connect a node to its vCenter again."""
        thing = self._node(node)
        if self._shown(thing).connection != "connected":
            self._run(node, lambda: thing.ReconnectHost_Task(None, None), job)
        return self._shown(thing)

    @vsphere.operation(kind="job")
    def node_add(self, address: str, cluster: str, job: Job[NodeState], user: str = "root", thumbprint: str = "") -> NodeState:
        """Add an ESXi to a cluster. Its password is a secret: NOVACRON_VSPHERE_NODE_PASSWORD, its file, or the keyring (USER@ADDRESS).

        Args:
            address: its host name or address.
            cluster: the cluster's name, inventory path or id.
            user: the user on the ESXi.
            thumbprint: the SHA-1 of its certificate; without it the certificate has to be signed by a known authority.
        """
        target = self._find(vim.ClusterComputeResource, cluster, "cluster")
        password = self._connection.secrets.find(f"{user}@{address}", PASSWORD)
        if password is None:
            raise AuthenticationError(
                f"no password for {user}@{address}", outcome="not_sent", hint=f"set {PASSWORD}, or {PASSWORD}_FILE to a file"
            )
        spec = vim.host.ConnectSpec(
            hostName=address, userName=user, password=password, force=False, sslThumbprint=thumbprint or None
        )
        made = self._run(address, lambda: target.AddHost_Task(spec, True, None, None), job)
        return self._shown(made)

    @vsphere.operation(kind="job", destroys=True)
    def node_remove(self, node: str, job: Job[Deleted]) -> Deleted:
        """Remove a node from its vCenter. It has to be in maintenance mode or disconnected; its VMs leave the inventory with it."""
        thing = self._node(node)
        record = self._shown(thing)
        if record.connection == "connected" and not record.maintenance:
            raise InvalidStateError(f"{node!r} is in use", resource=node, hint="let it enter maintenance mode, or disconnect it")
        parent = self._connection.read(thing, ["parent"])["parent"]
        alone = not isinstance(parent, vim.ClusterComputeResource)
        self._run(node, (parent if alone else thing).Destroy_Task, job)
        return Deleted(name=record.name, removed=(record.path,))

    def _node(self, text: str) -> Any:
        return self._find(vim.HostSystem, text, "node")

    def _shown(self, thing: Any) -> NodeState:
        return _record(thing, self._connection.read(thing, PROPERTIES), self._path(thing))

    def _running(self, thing: Any) -> dict[Any, str]:
        """Return the VMs that run on a node, with their names."""
        vms = self._connection.read(thing, ["vm"]).get("vm") or []
        found = self._connection.read_all(vms, vim.VirtualMachine, ["name", "runtime.powerState"])
        return {vm: plain_name(read["name"]) for vm, read in found if read.get("runtime.powerState") == "poweredOn"}

    def _evacuate(self, node: Any, vm: Any, name: str) -> None:
        """Move a running VM to the node of the same cluster with the most free memory."""
        parent = self._connection.read(node, ["parent"])["parent"]
        free = []
        for thing, read in self._connection.collect(vim.HostSystem, PROPERTIES, parent):
            usable = read.get("runtime.connectionState") == "connected" and not read.get("runtime.inMaintenanceMode")
            if thing != node and usable and read.get("parent") == parent:
                used = int(getattr(read.get("summary.quickStats"), "overallMemoryUsage", 0) or 0) * 2**20
                free.append((int(read.get("summary.hardware.memorySize") or 0) - used, read["name"], thing))
        if not free:
            raise InvalidStateError(
                f"no other node of its cluster can take {name!r}",
                resource=name,
                hint="migrate or stop it, then repeat the command",
            )
        target = max(free, key=lambda each: each[:2])[2]
        self._run(name, lambda: vm.RelocateVM_Task(vim.vm.RelocateSpec(host=target), "defaultPriority"))


def _record(thing: Any, read: dict[str, Any], path: str) -> NodeState:
    product = read.get("summary.config.product")
    return NodeState(
        name=plain_name(read["name"]),
        path=path,
        connection=str(read.get("runtime.connectionState", "")),
        maintenance=bool(read.get("runtime.inMaintenanceMode")),
        power=str(read.get("runtime.powerState", "")),
        version=str(read.get("config.product.version") or getattr(product, "version", "") or ""),
        vms=len(read.get("vm") or ()),
        evc=read.get("summary.maxEVCModeKey") or None,
        id=thing._moId,
    )


__all__ = ["VSphereNodes"]
