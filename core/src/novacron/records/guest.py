"""What the guest agent and consoles report."""

from __future__ import annotations

from novacron.records.record import Record


class GuestInfo(Record, frozen=True):
    """The guest as its agent describes it."""

    vm: str
    hostname: str | None = None
    os: str | None = None
    kernel: str | None = None
    addresses: tuple[str, ...] = ()
    agent_version: str | None = None


class ExecResult(Record, frozen=True):
    """A command that ran in the guest. One that a signal ended has 128 and the signal's number; `truncated`: there was more output."""

    exit_status: int
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False


class ConsoleEndpoint(Record, frozen=True):
    """Where a display or serial console can be reached."""

    vm: str
    kind: str
    address: str | None = None
    port: int | None = None
    path: str | None = None
    tls: bool = False


class Screenshot(Record, frozen=True):
    """A picture of a VM's display."""

    vm: str
    mime_type: str
    data: bytes


__all__ = ["ConsoleEndpoint", "ExecResult", "GuestInfo", "Screenshot"]
