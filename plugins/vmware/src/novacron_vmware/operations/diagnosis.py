"""Diagnosis of a vCenter or ESXi and its VMs, by what vSphere itself reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from novacron.plugins import hookimpl
from novacron.records.diagnosis import Finding, ok, problem, warning
from novacron_vmware.names import plain_name
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations

NODE = ["name", "runtime.connectionState", "runtime.inMaintenanceMode", "configIssue", "overallStatus"]
DATASTORE = ["name", "summary.accessible", "summary.maintenanceMode"]
VM = [
    "name",
    "configIssue",
    "overallStatus",
    "runtime.connectionState",
    "runtime.powerState",
    "runtime.consolidationNeeded",
    "guest.toolsStatus",
]


class VMwareDiagnosis(VMOperations):
    """Checks nodes, datastores and VMs. Nothing is changed."""

    @hookimpl
    def host_diagnose(self) -> list[Finding]:
        """Check the connection and the issues of each node, and the access to each datastore."""
        about = self._connection.content.about
        found = [ok("version", self._connection.name, f"{about.fullName or about.name}, API {about.apiVersion}")]
        for _, read in self._connection.collect(vim.HostSystem, NODE):
            found += _node(read)
        for _, read in self._connection.collect(vim.Datastore, DATASTORE):
            found += _datastore(read)
        return found

    @hookimpl
    def vm_diagnose(self, vm: str) -> list[Finding]:
        """Check the VM's files, its issues, its disks and VMware Tools."""
        return list(_vm(self._connection.read(self._find(vm), VM)))


def _node(read: dict[str, Any]) -> Iterator[Finding]:
    name, state = plain_name(read["name"]), str(read.get("runtime.connectionState", "connected"))
    if state != "connected":
        yield problem("node", name, f"the node {name!r} is {state}", "check its power, network and management agents")
    elif read.get("runtime.inMaintenanceMode"):
        hint = f"end it when the work is done: `novacron host maintenance leave {name}`"
        yield warning("node", name, f"the node {name!r} is in maintenance", hint)
    else:
        yield ok("node", name, f"the node {name!r} is connected")
    yield from _issues("node", name, read)


def _datastore(read: dict[str, Any]) -> Iterator[Finding]:
    name = plain_name(read["name"])
    if read.get("summary.accessible") is False:
        text = f"no node can access the datastore {name!r}"
        yield problem("storage", name, text, "check the paths to the storage and the mounts of the nodes")
    elif read.get("summary.maintenanceMode") in ("inMaintenance", "enteringMaintenance"):
        text = f"the datastore {name!r} is in maintenance"
        yield warning("storage", name, text, "end its maintenance before you create disks on it")


def _vm(read: dict[str, Any]) -> Iterator[Finding]:
    name, state = plain_name(read["name"]), str(read.get("runtime.connectionState", "connected"))
    if state != "connected":
        hint = "check the node and the datastore of the VM; register the VM again if its files moved"
        yield problem("files", name, f"the VM is {state}: vSphere can't use its files", hint)
    else:
        yield ok("files", name, "vSphere can use the files of the VM")
    if read.get("runtime.consolidationNeeded"):
        text = "files of deleted snapshots still belong to its disks"
        yield warning(
            "snapshots", name, text, "consolidate the disks: create a snapshot and delete it, or use the vSphere client"
        )
    tools = str(read.get("guest.toolsStatus", ""))
    if str(read.get("runtime.powerState")) == "poweredOn" and tools == "toolsOld":
        yield warning("guest agent", name, "VMware Tools of the guest are old", "upgrade open-vm-tools in the guest")
    yield from _issues("vm", name, read)


def _issues(check: str, name: str, read: dict[str, Any]) -> Iterator[Finding]:
    """Yield what vSphere itself reports as an issue, and its overall status if that is yellow or red."""
    issues = read.get("configIssue") or ()
    for issue in issues:
        text = issue.fullFormattedMessage or type(issue).__name__
        yield warning(check, name, f"vSphere reports: {text}", "the vSphere documentation of this message says how to repair it")
    status = str(read.get("overallStatus", "gray"))
    if status in ("yellow", "red") and not issues:
        text, hint = f"vSphere shows the status {status}", f"look at its alarms: `novacron vsphere alarm list`; {name!r} has some"
        yield problem(check, name, text, hint) if status == "red" else warning(check, name, text, hint)


__all__ = ["VMwareDiagnosis"]
