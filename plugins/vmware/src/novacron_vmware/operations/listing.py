"""Reading VMs: a listing costs one call for what changed since the last one, however many VMs there are."""

from __future__ import annotations

import time

from novacron.errors import OperationTimeoutError
from novacron.plugins import hookimpl
from novacron.records.vm import VM
from novacron.specs import VMQuery
from novacron_vmware.area import Area
from novacron_vmware.autostart import autostarting
from novacron_vmware.records import FULL, full_record, summary_record
from novacron_vmware.sdk import vim

BUSY = ("queued", "running")


class VMwareListing(Area):
    """Reads VMs."""

    @hookimpl
    def vm_list(self, query: VMQuery) -> list[VM]:
        """Read all VMs, templates left out."""
        connection = self._connection
        if query.detail == "summary":
            read, nodes = connection.inventory.vms(), connection.inventory.nodes()
            return [summary_record(connection.name, each, nodes) for _, each in read]
        connection.inventory.refresh()
        nodes = connection.inventory.nodes()
        found = connection.collect(vim.VirtualMachine, FULL)
        found = [(thing, read) for thing, read in found if "name" in read and not read.get("config.template")]
        started, tags = autostarting(connection), connection.tags.of([thing for thing, _ in found])
        return [full_record(connection, thing, read, nodes, started, tags.get(thing, frozenset())) for thing, read in found]

    @hookimpl
    def vm_get(self, vm: str) -> VM:
        """Read one VM."""
        return self._read(self._find(vm))

    @hookimpl
    def vm_settle(self, vm: str, seconds: float) -> VM:
        """Wait until none of the VM's tasks is queued or running; a task goes on when its client has died."""
        thing, deadline = self._find(vm), time.monotonic() + seconds
        while self._busy(thing):
            if time.monotonic() > deadline:
                raise OperationTimeoutError(f"{vm!r} is still busy after {seconds:g} s", resource=vm)
            time.sleep(0.2)
        return self._read(self._find(vm))

    def _busy(self, thing: object) -> bool:
        tasks = self._connection.read(thing, ["recentTask"]).get("recentTask") or ()
        return any(self._connection.read(task, ["info.state"]).get("info.state") in BUSY for task in tasks)


__all__ = ["VMwareListing"]
