"""vApps: list, start, stop and suspend all their VMs in the order that the vApp says."""

from __future__ import annotations

from typing import Any

from novacron.jobs import Job
from novacron_vmware.names import plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import VApp
from novacron_vmware.sdk import vim

PROPERTIES = ["name", "vm", "summary"]


class VSphereVApps(NativeOperations):
    """vApps and their power. `pool_create`, `pool_update` and `pool_delete` make them, limit them and delete them."""

    @vsphere.operation(kind="read")
    def vapp_list(self) -> list[VApp]:
        """List the vApps."""
        found = self._connection.collect(vim.VirtualApp, PROPERTIES)
        return sorted((self._record(thing, read) for thing, read in found), key=lambda each: each.path)

    @vsphere.operation(kind="read")
    def vapp_show(self, vapp: str) -> VApp:
        """Show a vApp with its VMs."""
        return self._shown(self._vapp(vapp))

    @vsphere.operation(kind="job", idempotent=True)
    def vapp_start(self, vapp: str, job: Job[VApp]) -> VApp:
        """Start the VMs of a vApp in its order."""
        thing = self._vapp(vapp)
        record = self._shown(thing)
        if record.state != "started" or record.running < len(record.vms):
            self._run(vapp, thing.PowerOnVApp_Task, job)
        return self._shown(thing)

    @vsphere.operation(kind="job", idempotent=True)
    def vapp_stop(self, vapp: str, job: Job[VApp], force: bool = False) -> VApp:
        """Stop the VMs of a vApp in the reverse order, each as the vApp says: shut down, power off or suspend.

        Args:
            vapp: its name, inventory path or id.
            force: power the VMs off, whatever the vApp says.
        """
        thing = self._vapp(vapp)
        if self._shown(thing).running:
            self._run(vapp, lambda: thing.PowerOffVApp_Task(force), job)
        return self._shown(thing)

    @vsphere.operation(kind="job", idempotent=True)
    def vapp_suspend(self, vapp: str, job: Job[VApp]) -> VApp:
        """Suspend the running VMs of a vApp."""
        thing = self._vapp(vapp)
        if self._shown(thing).running:
            self._run(vapp, thing.SuspendVApp_Task, job)
        return self._shown(thing)

    def _vapp(self, text: str) -> Any:
        return self._find(vim.VirtualApp, text, "vApp")

    def _shown(self, thing: Any) -> VApp:
        return self._record(thing, self._connection.read(thing, PROPERTIES))

    def _record(self, thing: Any, read: dict[str, Any]) -> VApp:
        vms = list(read.get("vm") or ())
        found = self._connection.read_all(vms, vim.VirtualMachine, ["name", "runtime.powerState"]) if vms else []
        return VApp(
            name=plain_name(read["name"]),
            path=self._path(thing),
            state=str(getattr(read.get("summary"), "vAppState", None) or "stopped"),
            vms=tuple(sorted(plain_name(each["name"]) for _, each in found)),
            running=sum(each.get("runtime.powerState") == "poweredOn" for _, each in found),
            id=thing._moId,
        )


__all__ = ["VSphereVApps"]
