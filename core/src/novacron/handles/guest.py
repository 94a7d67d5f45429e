"""The guest operating system of a VM, through its agent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from novacron.records.guest import ExecResult, GuestInfo
from novacron.text import printable_line
from novacron.units import parse_duration

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle


class GuestHandle:
    """Operations in a running VM's guest. They raise GuestAgentUnavailableError if no agent answers.

    Example:
        >>> import novacron
        >>> vm = novacron.connect("sim://guests").vms.create(name="web1", start=True)
        >>> vm.guest.info().hostname, vm.guest.exec("echo", "hello").stdout
        ('web1', b'hello\\n')
        >>> vm.guest.write("/etc/motd", b"welcome"); vm.guest.read("/etc/motd")
        b'welcome'
    """

    def __init__(self, vm: VMHandle) -> None:
        self._vm = vm

    def __repr__(self) -> str:
        return printable_line(f"<Guest of {self._vm.name}>")

    def info(self) -> GuestInfo:
        """Return what the guest agent reports: host name, operating system, IP addresses."""
        result: GuestInfo = self._vm.host.invoke("guest_info", vm=self._vm.id)
        return result

    def exec(self, *argv: str, stdin: bytes = b"", timeout: float | str = 60) -> ExecResult:
        """Run a program in the guest, without a shell, and wait up to `timeout` for its end."""
        result: ExecResult = self._vm.host.invoke(
            "guest_exec", None, vm=self._vm.id, argv=list(argv), stdin=stdin, seconds=parse_duration(timeout)
        )
        return result

    def read(self, path: str) -> bytes:
        """Return the content of a file in the guest."""
        result: bytes = self._vm.host.invoke("guest_file_read", vm=self._vm.id, path=path)
        return result

    def write(self, path: str, data: bytes) -> None:
        """Write a file in the guest. An existing file is replaced."""
        self._vm.record = self._vm.host.invoke("guest_file_write", vm=self._vm.id, path=path, data=data)

    def set_password(self, user: str, password: str) -> None:
        """Set a user's password. NovaCron sends it to the agent and does not store it."""
        self._vm.record = self._vm.host.invoke("guest_password_set", vm=self._vm.id, user=user, password=password)

    def set_ssh_keys(self, user: str, keys: Iterable[str]) -> None:
        """Replace the SSH public keys that may log in as a user."""
        self._vm.record = self._vm.host.invoke("guest_ssh_keys_set", vm=self._vm.id, user=user, keys=tuple(keys))

    def freeze(self) -> None:
        """Freeze the file systems. Call `thaw` afterwards, or use `frozen()`."""
        self._vm.record = self._vm.host.invoke("guest_freeze", vm=self._vm.id)

    def thaw(self) -> None:
        """Thaw the file systems."""
        self._vm.record = self._vm.host.invoke("guest_thaw", vm=self._vm.id)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep the file systems frozen during the block. They are thawed also if the block raises."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()


__all__ = ["GuestHandle"]
