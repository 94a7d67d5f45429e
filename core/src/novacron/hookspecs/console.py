"""Consoles and displays."""

from __future__ import annotations

from typing import Protocol

from novacron.hookspecs.operation import operation
from novacron.records.guest import ConsoleEndpoint, Screenshot


class Console(Protocol):
    """An open serial console."""

    def read(self, timeout: float) -> bytes:
        """Return what came within `timeout` seconds, empty when nothing did."""

    def write(self, data: bytes) -> None:
        """Send what a user typed."""

    def close(self) -> None:
        """Let go of the console."""


@operation(kind="read", statuses="running suspended")
def console_open(vm: str, force: bool) -> Console:
    """Open the serial console.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM does not run.
        BusyError: somebody has the console open and `force` is false; with `force` it is taken over.
        UnsupportedOperationError: the VM has no serial console.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="read", statuses="running suspended")
def console_screenshot(vm: str) -> Screenshot:
    """Take a picture of the first display.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        UnsupportedOperationError: the VM has no display.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="read", statuses="running suspended")
def console_endpoint(vm: str) -> ConsoleEndpoint:
    """Tell where the display can be reached; its password is never part of the answer.

    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        UnsupportedOperationError: the VM has no display.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError
