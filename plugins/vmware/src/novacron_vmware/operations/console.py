"""Serial consoles; displays: a ticket for a web console, and pictures."""

from __future__ import annotations

import socket
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from novacron.errors import BusyError, HostConnectionError, NovaCronError
from novacron.plugins import hookimpl
from novacron.records.guest import ConsoleEndpoint, Screenshot
from novacron.records.vm import VM
from novacron_vmware.console.keyboard import key_event
from novacron_vmware.console.serial_port import SerialConsole, address_of
from novacron_vmware.errors import translated
from novacron_vmware.sdk import vim
from novacron_vmware.storage.datastore_files import read_file
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection


class VMwareConsole(VMOperations):
    """Reaches a VM's serial console and its display."""

    def __init__(self, connection: VMwareConnection) -> None:
        super().__init__(connection)
        self._guard = threading.Lock()
        self._open = weakref.WeakValueDictionary[str, SerialConsole]()

    @hookimpl
    def console_open(self, vm: str, force: bool) -> SerialConsole:
        """Connect to the network serial port at the VM's node. `force` takes it from users of this connection, from nobody else."""
        thing, record = self._changing(vm, "open the console of", "running")
        scheme, port = address_of(self._devices(thing), record.name)
        with self._guard:
            other = self._open.get(record.id)
            if other is not None and not other.closed:
                if not force:
                    raise BusyError(
                        f"the console of {record.name!r} is open already",
                        resource=record.name,
                        hint="force=True (--force) takes it",
                    )
                other.close()
            opened = SerialConsole(self._reach(thing, record.name, port), record.name, telnet=scheme == "telnet")
            self._open[record.id] = opened
            return opened

    def _reach(self, thing: Any, name: str, port: int) -> socket.socket:
        """Connect to a port of the node that a VM is on."""
        node = self._connection.read(thing, ["runtime.host"])["runtime.host"]
        read = self._connection.read(node, ["name", "config.network.vnic"])
        addresses = [nic.spec.ip.ipAddress for nic in read.get("config.network.vnic") or () if nic.spec.ip]
        address = next(filter(None, addresses), read["name"])
        try:
            return socket.create_connection((address, port), self._connection.timeout)
        except ConnectionRefusedError as error:
            raise BusyError(
                f"nobody answers at {address}:{port}, the serial port of {name!r}",
                resource=name,
                hint="somebody else may have it, or another VM of that node the port",
            ) from error
        except OSError as error:
            raise HostConnectionError(
                f"{address}:{port}, the serial port of {name!r}, can't be reached: {error}",
                resource=name,
                hint="let the ESXi's firewall have remoteSerialPort, and its network be reached from here",
            ) from error

    @hookimpl
    def console_send_keys(self, vm: str, keys: tuple[str, ...]) -> VM:
        """Send each combination as a key of a USB keyboard with its modifiers."""
        events = [key_event(each) for each in keys]
        thing, record = self._changing(vm, "press keys of", "running")
        with translated(record.name):
            for event in events:  # one at a time: a combination is released before the next one
                thing.PutUsbScanCodes(vim.UsbScanCodeSpec(keyEvents=[event]))
        return record

    @hookimpl
    def console_endpoint(self, vm: str) -> ConsoleEndpoint:
        """Return a WebMKS address: a web socket whose path has a ticket that is good once, for half a minute."""
        thing, record = self._changing(vm, "reach the display of", "running", "suspended")
        with translated(record.name):
            ticket = thing.AcquireTicket("webmks")
        return ConsoleEndpoint(
            vm=record.id,
            kind="webmks",
            address=ticket.host or self._connection.address[0],
            port=ticket.port or 443,
            path=f"/ticket/{ticket.ticket}",
            tls=True,
        )

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
