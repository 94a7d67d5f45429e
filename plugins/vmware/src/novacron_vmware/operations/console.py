"""Displays: a ticket for a web console, and pictures."""

from __future__ import annotations

from contextlib import suppress

from novacron.errors import NovaCronError
from novacron.plugins import hookimpl
from novacron.records.guest import ConsoleEndpoint, Screenshot
from novacron_vmware.area import Area
from novacron_vmware.datastore import read_file
from novacron_vmware.errors import translated


class VMwareConsole(Area):
    """Reaches a VM's display. (vSphere's serial ports are files, pipes or network ports of the node, not consoles.)"""

    @hookimpl
    def console_endpoint(self, vm: str) -> ConsoleEndpoint:
        """Return a WebMKS address: a web socket whose path has a ticket that is good once, for half a minute."""
        thing, record = self._changing(vm, "reach the display of", "running", "suspended")
        with translated(record.name):
            ticket = thing.AcquireTicket("webmks")
        return ConsoleEndpoint(
            vm=record.id, kind="webmks", address=ticket.host or self._connection.address[0], port=ticket.port or 443,
            path=f"/ticket/{ticket.ticket}", tls=True,
        )  # fmt: skip

    @hookimpl
    def console_screenshot(self, vm: str) -> Screenshot:
        """Take a picture; vSphere writes it as a file beside the VM, which is fetched and deleted."""
        thing, record = self._changing(vm, "take a picture of", "running", "suspended")
        connection = self._connection
        with translated(record.name):
            path = connection.wait(thing.CreateScreenshot_Task(), resource=record.name)
            datacenter = connection.datacenter_thing(thing)
            try:
                data = read_file(connection, path, connection.datacenter_of(datacenter))
            finally:
                with suppress(NovaCronError):
                    task = connection.content.fileManager.DeleteDatastoreFile_Task(path, datacenter)
                    connection.wait(task, resource=record.name)
        return Screenshot(vm=record.id, mime_type="image/png", data=data)


__all__ = ["VMwareConsole"]
