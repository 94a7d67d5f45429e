"""SSH to a VM: where to connect, through which host, as which user, and with which host keys."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from novacron.errors import (
    GuestAgentError,
    HostConnectionError,
    InvalidStateError,
    NotFoundError,
    NovaCronError,
    OperationTimeoutError,
    UnsupportedOperationError,
)
from novacron.handles.addresses import addresses_of
from novacron.records.guest import ExecResult
from novacron.ssh.commands import scp_argv, ssh_argv
from novacron.ssh.known_hosts import KEY_FILES, KnownHosts
from novacron.ssh.target import JumpHost, SSHTarget, checked_port, checked_user, jump_of, parse_jump
from novacron.text import printable_line
from novacron.units import parse_duration

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle

LOGIN_USER = "login-user"
"""The metadata key of a VM that names the user of its image."""


class SSHHandle:
    """Logs in to a running VM with OpenSSH's own programs, keys, agent and configuration.

    Host keys are stored by the VM's UUID. They are read through the guest agent if the VM has one; otherwise the first connection decides,
    and later ones must see the same keys. VMs of a host that is reached by `...+ssh://` are reached through that host.

    Example:
        >>> import novacron
        >>> vm = novacron.connect("sim://ssh").vms.create(name="web1", metadata={"login-user": "debian"})
        >>> target = vm.ssh.target(address="192.0.2.5")
        >>> target.user, target.jump
        ('debian', None)
    """

    def __init__(self, vm: VMHandle) -> None:
        self._vm = vm
        self.known_hosts = KnownHosts(vm.host.dispatcher.audit.state)

    def __repr__(self) -> str:
        return printable_line(f"<SSH to {self._vm.name}>")

    def target(
        self,
        user: str | None = None,
        *,
        address: str | None = None,
        port: int = 22,
        jump: str | bool = True,
        identity: str | None = None,
        wait: float | str = 0,
    ) -> SSHTarget:
        """Return where to connect to.

        Args:
            user: The user; None takes the one that the VM's metadata name (`login-user`), otherwise ssh_config decides.
            address: The IP address; None looks it up. IPv4 is preferred.
            port: The port of the SSH server.
            jump: True connects through the hypervisor's host if that is reached by SSH, False never does, a text names another host.
            identity: A file with a private key.
            wait: Seconds, or text such as "2m", to wait for an address.

        Raises:
            NotFoundError: The VM has no known address.
            InvalidSpecError: A value is invalid.
        """
        through = self._jump(jump)
        name = checked_user(user or (self._vm.record.metadata or self._vm.refresh().record.metadata or {}).get(LOGIN_USER))
        return SSHTarget(
            name=self._vm.name,
            id=self._vm.id,
            address=address or self._address(wait),
            known_hosts=self.known_hosts.file,
            user=name,
            port=checked_port(port),
            jump=through,
            identity=identity,
        )

    def learn_host_keys(self) -> bool:
        """Read the guest's public host keys through its agent, unless they are known. Returns whether they are known now."""
        if self.known_hosts.has(self._vm.id):
            return True
        found: list[str] = []
        for path in KEY_FILES:
            try:
                found.append(self._vm.guest.read(path).decode(errors="replace").strip())
            except (UnsupportedOperationError, InvalidStateError, HostConnectionError, OperationTimeoutError):
                break
            except GuestAgentError as error:
                if type(error) is not GuestAgentError:  # no agent answers; a missing file is no reason to stop
                    break
            except NovaCronError:
                continue
        return bool(found) and self.known_hosts.add(self._vm.id, found) > 0

    def run(self, *command: str, target: SSHTarget | None = None, stdin: bytes = b"", timeout: float | str = 60) -> ExecResult:
        """Run a program in the guest by SSH and return its output. It never asks for a password.

        Args:
            command: A single argument is a line for the guest's shell; several are a program and its arguments.
            target: Where to; `target()` when None.
            stdin: Bytes for its standard input.
            timeout: Longest time, in seconds or as text such as "5m".

        Raises:
            HostConnectionError: ssh could not connect or log in; the message is its own.
            OperationTimeoutError: The program did not end in time. The connection is closed; the program may continue.
            UnsupportedOperationError: This machine has no ssh.
        """
        where = target or self.target()
        self.learn_host_keys()
        seconds = parse_duration(timeout)
        try:
            done = subprocess.run(
                ssh_argv(where, command, batch=True), input=stdin, capture_output=True, timeout=seconds, check=False
            )
        except FileNotFoundError:
            raise no_program("ssh") from None
        except subprocess.TimeoutExpired:
            raise OperationTimeoutError(
                f"{command[0] if command else 'ssh'!r} did not end within {seconds:g} s in {self._vm.name!r}",
                resource=self._vm.name,
            ) from None
        if done.returncode == 255:
            said = done.stderr.decode(errors="replace").strip()
            raise HostConnectionError(
                f"can't log in to {self._vm.name!r}: {said}", resource=self._vm.name, host=self._vm.host.name
            )
        return ExecResult(exit_status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def upload(self, sources: Sequence[str], path: str, *, target: SSHTarget | None = None, recursive: bool = False) -> None:
        """Copy files of this machine to a path of the guest. Raises HostConnectionError with the message of scp."""
        self._copy(target, sources, path, upload=True, recursive=recursive)

    def download(self, sources: Sequence[str], path: str, *, target: SSHTarget | None = None, recursive: bool = False) -> None:
        """Copy files of the guest to a path of this machine. Raises HostConnectionError with the message of scp."""
        self._copy(target, sources, path, upload=False, recursive=recursive)

    def _copy(self, target: SSHTarget | None, sources: Sequence[str], path: str, *, upload: bool, recursive: bool) -> None:
        where = target or self.target()
        self.learn_host_keys()
        argv = scp_argv(where, sources, path, upload=upload, recursive=recursive)
        try:
            done = subprocess.run([*argv[:1], "-B", "-q", *argv[1:]], capture_output=True, stdin=subprocess.DEVNULL, check=False)
        except FileNotFoundError:
            raise no_program("scp") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise HostConnectionError(
                f"can't copy {'to' if upload else 'from'} {self._vm.name!r}: {said}", resource=self._vm.name
            )

    def _jump(self, jump: str | bool) -> JumpHost | None:
        if isinstance(jump, str):
            return parse_jump(jump)
        return jump_of(self._vm.host.uri) if jump else None

    def _address(self, wait: float | str) -> str:
        seconds = parse_duration(wait)
        found = self._vm.wait_for("ip", timeout=seconds) if seconds else addresses_of(self._vm)
        for address in sorted(found, key=lambda each: each.version):
            return str(address.address)
        raise NotFoundError(
            f"{self._vm.name!r} has no known address",
            resource=self._vm.name,
            host=self._vm.host.name,
            hint="start it, give it time with --wait 2m, or name its address with --address",
        )


def no_program(name: str) -> UnsupportedOperationError:
    """Return the error of a program that this machine does not have."""
    return UnsupportedOperationError(f"this machine has no {name}", outcome="not_sent", hint="install openssh-client")


__all__ = ["LOGIN_USER", "SSHHandle", "no_program"]
