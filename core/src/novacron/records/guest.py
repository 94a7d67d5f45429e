"""Reports of the guest agent and of consoles."""

from __future__ import annotations

from novacron.records.record import Record


class GuestInfo(Record, frozen=True):
    """The guest, as its agent reports it."""

    vm: str
    hostname: str | None = None
    os: str | None = None
    kernel: str | None = None
    addresses: tuple[str, ...] = ()
    agent_version: str | None = None


class ExecResult(Record, frozen=True):
    """The result of a program in the guest. After a signal, the exit code is 128 plus the signal. `truncated`: output is missing."""

    exit_status: int
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False


class ConsoleEndpoint(Record, frozen=True):
    """The address of a display or serial console."""

    vm: str
    kind: str
    address: str | None = None
    port: int | None = None
    path: str | None = None
    tls: bool = False


class Screenshot(Record, frozen=True):
    """A screenshot of a VM's display."""

    vm: str
    mime_type: str
    data: bytes


__all__ = ["ConsoleEndpoint", "ExecResult", "GuestInfo", "Screenshot"]
