"""Consoles and displays."""

from __future__ import annotations

from typing import Protocol

from novacron.hookspecs.operation import operation
from novacron.records.guest import ConsoleEndpoint, Screenshot
from novacron.records.vm import VM


class Console(Protocol):
    """An open serial console."""

    def read(self, timeout: float) -> bytes:
        """Return the bytes that arrive within `timeout` seconds; empty if there are none."""

    def write(self, data: bytes) -> None:
        """Send input to the console."""

    def close(self) -> None:
        """Release the console."""


@operation(kind="read", statuses="running suspended")
def console_open(vm: str, force: bool) -> Console:
    """Open the serial console of a VM.

    Args:
        vm: UUID or name of the VM.
        force: Disconnect another client of the console.
    Returns:
        The open console. The caller must close it.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM does not run.
        BusyError: somebody has the console open and `force` is false; with `force` it is taken over.
        UnsupportedOperationError: the VM has no serial console.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running or suspended.
    """
    raise NotImplementedError


@operation(kind="read", statuses="running suspended")
def console_screenshot(vm: str) -> Screenshot:
    """Take a screenshot of a VM's first display.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The image, as encoded bytes with their media type.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        UnsupportedOperationError: the VM has no display.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running or suspended.
    """
    raise NotImplementedError


@operation(kind="read", statuses="running suspended")
def console_endpoint(vm: str) -> ConsoleEndpoint:
    """Return the address of a VM's graphical display (VNC or SPICE), without its password.

    Args:
        vm: UUID or name of the VM.
    Returns:
        Protocol, address and port.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidStateError: the VM's status does not allow it.
        UnsupportedOperationError: the VM has no display.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running or suspended.
    """
    raise NotImplementedError


@operation(kind="change", statuses="running")
def console_send_keys(vm: str, keys: tuple[str, ...]) -> VM:
    """Press keys of a VM's keyboard, one combination after the other.

    Args:
        vm: UUID or name of the VM.
        keys: Combinations such as "ctrl-alt-delete", "f2" or "a", see `novacron.keys`.
    Returns:
        The VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        InvalidSpecError: no such key. None is pressed.
        InvalidStateError: the VM does not run.

    When: running.
    """
    raise NotImplementedError
