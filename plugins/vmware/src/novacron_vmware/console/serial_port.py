"""Serial consoles: network serial ports, which an ESXi lets one client at a time reach at a port of its own address.

They are not encrypted and ask for no password: whoever reaches that port of the ESXi has the console. The ESXi's firewall lets nobody there
unless its rules `remoteSerialPort` are switched on.
"""

from __future__ import annotations

import re
import select
import socket
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from novacron.errors import DeviceNotFoundError, InvalidStateError, SpecProblem, UnsupportedOperationError
from novacron_vmware.errors import translated
from novacron_vmware.sdk import vim

KEY = "serial_port"
"""What `native` of a VM's spec calls it: "tcp://:2001" or "telnet://:2001", a port of the ESXi."""
ALLOWED = re.compile(r"(tcp|telnet)://:(\d{1,5})")
CHUNK = 65536
IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
"""Telnet's commands. Source: RFC 854."""


def problem_of(wanted: Any) -> SpecProblem | None:
    """Return what is wrong with a wish for a serial port."""
    found = ALLOWED.fullmatch(str(wanted))
    if found is None or not 0 < int(found[2]) < 2**16:
        return SpecProblem(f"native.{KEY}", str(wanted), "tcp://:PORT or telnet://:PORT, a port of the ESXi")
    return None


def network_port(wanted: str, key: int) -> Any:
    """Return the device that listens at a port of the ESXi while its VM runs."""
    Serial = vim.vm.device.VirtualSerialPort
    link = vim.vm.device.VirtualDevice.ConnectInfo(startConnected=True, allowGuestControl=True, connected=True)
    return Serial(
        key=key, yieldOnPoll=True, connectable=link, backing=Serial.URIBackingInfo(serviceURI=wanted, direction="server")
    )


def address_of(devices: Any, name: str) -> tuple[str, int]:
    """Return the protocol and the port of a VM's first network serial port.

    Raises:
        DeviceNotFoundError: it has none.
        UnsupportedOperationError: it is reached in another way, through a concentrator or by TLS.
    """
    Serial = vim.vm.device.VirtualSerialPort
    backings = [d.backing for d in devices if isinstance(d, Serial) and isinstance(d.backing, Serial.URIBackingInfo)]
    if not backings:
        raise DeviceNotFoundError(
            f"{name!r} has no serial port that the network reaches",
            resource=name,
            hint=f"create the VM with native={{{KEY!r}: 'telnet://:2001'}}, or use `novacron viewer`",
        )
    for backing in backings:
        found = urlsplit(backing.serviceURI)
        if backing.direction == "server" and not backing.proxyURI and found.scheme in ("tcp", "telnet") and found.port:
            return found.scheme, found.port
    raise UnsupportedOperationError(
        f"the serial port of {name!r} is {backings[0].proxyURI or backings[0].serviceURI}",
        resource=name,
        outcome="not_sent",
        hint="NovaCron reaches those that listen at the ESXi by tcp or telnet, without a concentrator",
    )


class SerialConsole:
    """An open serial console. Safe for one thread that reads and others that write and close."""

    def __init__(self, link: socket.socket, name: str, *, telnet: bool) -> None:
        self._link, self._name, self._telnet = link, name, telnet
        self._rest = b""
        self._guard = threading.Lock()
        self.closed = False

    def read(self, timeout: float) -> bytes:
        """Return what came within `timeout` seconds; empty when nothing did, or the VM or somebody else has ended it."""
        if self.closed or not select.select([self._link], [], [], timeout)[0]:
            return b""
        with suppress(OSError):
            if data := self._link.recv(CHUNK):
                return self._plain(data) if self._telnet else data
        self.close()
        return b""

    def write(self, data: bytes) -> None:
        """Send what a user typed. Raises InvalidStateError when the console has ended."""
        if self.closed:
            raise InvalidStateError(f"the console of {self._name!r} is closed", resource=self._name, hint="open it again")
        with self._guard, translated(self._name):
            self._link.sendall(data.replace(b"\xff", b"\xff\xff") if self._telnet else data)

    def close(self) -> None:
        """Let go; a second call does nothing."""
        self.closed = True
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        self._link.close()

    def _plain(self, data: bytes) -> bytes:
        """Take telnet's commands out and refuse every option: the bytes are the guest's, as they are."""
        data, self._rest = self._rest + data, b""
        found, at = bytearray(), 0
        while (command := data.find(IAC, at)) >= 0:
            found += data[at:command]
            at, answer = _after(data, command)
            if at < 0:
                self._rest = data[command:]
                return bytes(found)
            if data[command + 1] == IAC:
                found.append(IAC)
            if answer:
                with self._guard:
                    self._link.sendall(answer)
        return bytes(found + data[at:])


def _after(data: bytes, at: int) -> tuple[int, bytes]:
    """Return where a command that begins `at` ends, -1 when more of it is to come, and what is to be answered."""
    kind = data[at + 1] if at + 1 < len(data) else None
    if kind == SB:
        end = data.find(bytes((IAC, SE)), at)
        return (end + 2 if end >= 0 else -1), b""
    if kind in (DO, DONT, WILL, WONT):
        if at + 2 >= len(data):
            return -1, b""
        refusal = {DO: WONT, WILL: DONT}.get(kind)
        return at + 3, bytes((IAC, refusal, data[at + 2])) if refusal else b""
    return (-1 if kind is None else at + 2), b""


__all__ = ["KEY", "SerialConsole", "address_of", "network_port", "problem_of"]
