"""A port of this machine that leads to a port behind a host, by OpenSSH."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from novacron.errors import HostConnectionError, InvalidStateError
from novacron.ssh.commands import CONNECT_TIMEOUT, tunnel_argv
from novacron.ssh.target import JumpHost

SECONDS_BETWEEN_LOOKS = 0.05


class Tunnel:
    """Forwards a free port of this machine's loopback to a port that a host reaches. A context manager that ends it.

    Args:
        host: the host to log in to.
        address: what `port` belongs to, as the host sees it.
        port: the port to reach.
        folder: where a configuration of `ssh` may be written.

    Attributes:
        port: the port of this machine.
    """

    def __init__(self, host: JumpHost, address: str, port: int, folder: Path) -> None:
        self._host, self._folder, self._far = host, folder, (address, port)
        self.port = 0

    def __enter__(self) -> Self:
        """Log in and open the port.

        Raises:
            HostConnectionError: the host refuses the login or can't be reached.
            InvalidStateError: this machine has no `ssh`.
        """
        self.port = _free_port()
        argv = tunnel_argv(self._host, self.port, *self._far, folder=self._folder)
        self._said = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said)
        except FileNotFoundError:
            self._said.close()
            raise InvalidStateError("this machine has no ssh", hint="install the package openssh-client") from None
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._said.close()

    def _wait(self) -> None:
        """Return when the port answers."""
        deadline = time.monotonic() + CONNECT_TIMEOUT
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(SECONDS_BETWEEN_LOOKS)
            else:
                return
        self._said.seek(0)
        reason = self._said.read().decode(errors="replace").strip().splitlines()
        raise HostConnectionError(
            f"ssh to {self._host} failed: {reason[-1] if reason else 'no answer'}", hint=f"try `ssh {self._host}`"
        )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


__all__ = ["Tunnel"]
