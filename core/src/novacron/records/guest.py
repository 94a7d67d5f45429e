"""Reports of the guest agent and of consoles."""

from __future__ import annotations

from novacron.records.record import Record


class GuestInfo(Record, frozen=True):
    """The guest, as its agent reports it.

    Attributes:
        vm: Id of the VM.
        hostname: Host name of the guest; None if it is not reported.
        os: Name and version of the operating system; None if it is not reported.
        kernel: Version of the kernel; None if it is not reported.
        addresses: IP addresses of the guest.
        agent_version: Version of the guest agent; None if it is not reported.
    """

    vm: str
    hostname: str | None = None
    os: str | None = None
    kernel: str | None = None
    addresses: tuple[str, ...] = ()
    agent_version: str | None = None


class ExecResult(Record, frozen=True):
    """The result of a program in the guest.

    Attributes:
        exit_status: Exit code; after a signal 128 plus the signal.
        stdout: What the program wrote to standard output.
        stderr: What it wrote to standard error.
        truncated: Whether output is missing because it was too long.
    """

    exit_status: int
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False


class ConsoleEndpoint(Record, frozen=True):
    """The address of a display or serial console.

    Attributes:
        vm: Id of the VM.
        kind: Kind of the console, such as "vnc", "spice" or "serial".
        address: Host name or IP address; None if there is no network address.
        port: TCP port; None if there is none.
        path: UNIX socket, device or URL path; None if there is none.
        tls: Whether the connection is encrypted by TLS.
    """

    vm: str
    kind: str
    address: str | None = None
    port: int | None = None
    path: str | None = None
    tls: bool = False


class Screenshot(Record, frozen=True):
    """A screenshot of a VM's display.

    Attributes:
        vm: Id of the VM.
        mime_type: Format of the picture, such as "image/png".
        data: The picture.
    """

    vm: str
    mime_type: str
    data: bytes


__all__ = ["ConsoleEndpoint", "ExecResult", "GuestInfo", "Screenshot"]
