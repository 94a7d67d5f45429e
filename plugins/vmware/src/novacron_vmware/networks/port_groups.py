"""Port groups, of distributed switches and of each node's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from novacron_vmware.reconfiguring import repeated
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron.jobs import Job
    from novacron_vmware.connection import VMwareConnection


def reconfigure(
    connection: VMwareConnection, group: Any, name: str, change: Callable[[Any], None], job: Job[Any] | None = None
) -> None:
    """Change the configuration of a distributed port group's ports. Settings that `change` leaves alone stay as they are.

    Args:
        connection: where the port group is.
        group: vSphere's DistributedVirtualPortgroup.
        name: its name, for errors.
        change: changes a copy of the whole configuration, with its VLAN, teaming, security policy and traffic shaping.
        job: shows the progress, and cancels the task.
    """

    def once() -> None:
        config = connection.read(group, ["config"])["config"]
        ports = config.defaultPortConfig or vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy()
        change(ports)
        wanted = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(configVersion=config.configVersion, defaultPortConfig=ports)
        connection.wait(group.ReconfigureDVPortgroup_Task(wanted), resource=name, job=job)

    repeated(name, once)


def reconfigure_standard(connection: VMwareConnection, name: str, change: Callable[[Any], None]) -> None:
    """Change the standard port groups of a name, one on each node. Settings that `change` leaves alone stay as they are.

    vSphere has no version of these: each is read anew just before it is written.

    Args:
        connection: where the port groups are.
        name: their name.
        change: changes the specification of one, with its VLAN and policies.
    """
    for system, group in node_groups(connection):
        if group.spec.name == name:
            now = connection.read(system, ["networkInfo.portgroup"]).get("networkInfo.portgroup") or ()
            for each in now:
                if each.spec.name == name:
                    change(each.spec)
                    system.UpdatePortGroup(name, each.spec)


def network_systems(connection: VMwareConnection) -> list[Any]:
    """Return what each node has its switches in."""
    path = "configManager.networkSystem"
    return [read[path] for _, read in connection.collect(vim.HostSystem, [path])]


def node_groups(connection: VMwareConnection) -> list[tuple[Any, Any]]:
    """Return every port group of every node's own switches, with the node's network system."""
    found = connection.read_all(network_systems(connection), vim.host.NetworkSystem, ["networkInfo.portgroup"])
    return [(system, group) for system, read in found for group in read.get("networkInfo.portgroup") or ()]


__all__ = ["network_systems", "node_groups", "reconfigure", "reconfigure_standard"]
