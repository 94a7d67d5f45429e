"""The serial console, pictures of the display, and where the display can be reached."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import libvirt

from novacron.errors import BusyError, InvalidStateError, NotFoundError
from novacron.hookspecs.console import Console
from novacron.keys import linux_codes
from novacron.plugins import hookimpl
from novacron.records.guest import ConsoleEndpoint, Screenshot
from novacron.records.vm import VM
from novacron.threads import within
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.inventory.records import vm_record
from novacron_kvm.pool import CLOSE_SECONDS
from novacron_kvm.xml.parsing import parse, text_of

CHUNK = 65536
HELD_MS = 50
"""How long keys are held down."""


class KVMConsole:
    """Consoles of running VMs."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def console_open(self, vm: str, force: bool) -> Console:
        """Open the first serial console on a connection of its own."""
        return _SerialConsole(self._connection, vm, force)

    @hookimpl
    def console_screenshot(self, vm: str) -> Screenshot:
        """Take a picture of the first display."""
        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._running(vm, conn)
            if parse(domain.XMLDesc(0)).find("devices/video") is None:
                raise NotFoundError(
                    f"{domain.name()!r} has no display",
                    resource=vm,
                    hint="give it one: `novacron vm set NAME display.type=vnc`; it has it from its next start",
                )
            stream = conn.newStream(0)
            kind = domain.screenshot(stream, 0, 0)
            data = bytearray()
            while chunk := stream.recv(CHUNK):
                data += chunk
            stream.finish()
        return Screenshot(vm=domain.UUIDString(), mime_type=kind, data=bytes(data))

    @hookimpl
    def console_endpoint(self, vm: str) -> ConsoleEndpoint:
        """Tell where the display listens; the definition is read without its password."""
        domain = self._running(vm, self._connection.read)
        with translated(resource=vm):
            graphics = parse(domain.XMLDesc(0)).find("devices/graphics")
        if graphics is None:
            raise NotFoundError(
                f"{domain.name()!r} has no display",
                resource=vm,
                hint="give it one: `novacron vm set NAME display.type=vnc`; it has it from its next start",
            )
        port = graphics.get("tlsPort") or graphics.get("port")
        return ConsoleEndpoint(
            vm=domain.UUIDString(),
            kind=graphics.get("type", ""),
            address=text_of(graphics, "listen/@address") or graphics.get("listen"),
            port=int(port) if port and int(port) > 0 else None,
            path=graphics.get("socket"),
            tls="tlsPort" in graphics.attrib,
        )

    @hookimpl
    def console_send_keys(self, vm: str, keys: tuple[str, ...]) -> VM:
        """Send each combination by Linux's codes, held for a moment."""
        codes = linux_codes(keys)
        with self._connection.dedicated() as conn, translated(resource=vm):
            domain = self._running(vm, conn)
            if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                raise InvalidStateError.of_status("press keys of", domain.name(), "suspended", ("running",))
            for combination in codes:
                domain.sendKey(libvirt.VIR_KEYCODE_SET_LINUX, HELD_MS, combination, len(combination), 0)
            return vm_record(self._connection, domain)

    def _running(self, vm: str, connection: Any) -> Any:
        domain = self._connection.domain(vm, connection)
        with translated(resource=vm):
            if not domain.isActive():
                raise InvalidStateError(f"{domain.name()!r} is not running", resource=vm, hint="start it first")
        return domain


class _SerialConsole:
    """An open console. A reader thread takes what comes, so that the guest is never held up by somebody who does not read."""

    def __init__(self, connection: KVMConnection, vm: str, force: bool) -> None:
        self._changed = threading.Condition()
        self._arrived = bytearray()
        self._ended = False
        self._calls = threading.Lock()  # reader, writer and `close` use one connection, which allows one call at a time
        self._connection = connection
        self._lane = lane = connection.take()
        try:
            with translated(resource=vm):
                domain = connection.domain(vm, lane)
                if not domain.isActive():
                    raise InvalidStateError(f"{domain.name()!r} is not running", resource=vm, hint="start it first")
                self._stream = lane.newStream(libvirt.VIR_STREAM_NONBLOCK)
                try:
                    domain.openConsole(
                        None, self._stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE if force else libvirt.VIR_DOMAIN_CONSOLE_SAFE
                    )
                except libvirt.libvirtError as error:
                    if "Active console session exists" in str(error):
                        raise BusyError(
                            f"somebody has the console of {domain.name()!r}", resource=vm, hint="force=True (--force) takes it"
                        ) from error
                    raise
        except BaseException:
            connection.give_back(lane)
            raise
        threading.Thread(target=self._receive, name=f"novacron-console-{vm}", daemon=True).start()

    def read(self, timeout: float) -> bytes:
        """Return what came; waits up to `timeout` seconds for the first of it."""
        with self._changed:
            self._changed.wait_for(lambda: self._arrived or self._ended, timeout)
            data, self._arrived = bytes(self._arrived), bytearray()
            return data

    def write(self, data: bytes) -> None:
        """Send all of it."""
        with translated(operation="console_open"):
            while data:
                with self._calls:
                    sent = self._stream.send(data)
                if sent == -2:  # the guest is slow
                    time.sleep(0.01)
                    continue
                data = data[sent:]

    def close(self) -> None:
        """Let go; a second call does nothing."""
        with self._changed:
            if self._ended:
                return
            self._ended = True
            self._changed.notify_all()
        with suppress(TimeoutError):  # a host that does not answer is not waited for
            within(CLOSE_SECONDS, self._end, "novacron-console-end")

    def _end(self) -> None:
        with self._calls:
            try:
                self._stream.abort()
            except libvirt.libvirtError:
                pass  # the guest has ended
        self._connection.give_back(self._lane)

    def _receive(self) -> None:
        while not self._ended:
            try:
                with self._calls:
                    if self._ended:
                        break
                    data = self._stream.recv(CHUNK)
            except libvirt.libvirtError:
                break
            if data == -2:
                time.sleep(0.01)
                continue
            if not data:
                break
            with self._changed:
                self._arrived += data
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


__all__ = ["KVMConsole"]
