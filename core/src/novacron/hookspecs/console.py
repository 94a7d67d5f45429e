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
    """Open the serial console; `force` takes it from whoever has it, otherwise BusyError."""
    raise NotImplementedError


@operation(kind="read", statuses="running suspended")
def console_screenshot(vm: str) -> Screenshot:
    """Take a picture of the first display."""
    raise NotImplementedError


@operation(kind="read", statuses="running suspended")
def console_endpoint(vm: str) -> ConsoleEndpoint:
    """Tell where the display can be reached; its password is never part of the answer."""
    raise NotImplementedError
