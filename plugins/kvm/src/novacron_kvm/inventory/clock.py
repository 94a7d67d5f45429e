"""The clock of a host. libvirt does not report it, so a host that is reached by SSH is asked for it by SSH."""

from __future__ import annotations

import subprocess
import threading
import time

from novacron.ssh.commands import login_argv
from novacron.ssh.target import JumpHost, jump_of

EVERY = 600.0
"""Seconds between two logins."""
SECONDS = 3
"""How long a login may take."""
COMMAND = ("date", "+%s.%N")


class HostClock:
    """Tells the time of a host.

    The host is asked every ten minutes. In between, the time of its answer and the monotonic clock of this machine tell it.

    Args:
        uri: the URI of the host.
    """

    def __init__(self, uri: str) -> None:
        self._login = jump_of(uri)
        self._local = uri.startswith(("qemu:///", "qemu+unix:"))
        self._guard = threading.Lock()
        self._known: tuple[float, float] | None = None
        self._next = 0.0

    def now(self) -> float | None:
        """Return the time of the host in seconds since 1970; None if it can't be told, for example over TLS.

        One thread asks the host. The others do not wait for its answer.
        """
        if self._local:
            return time.time()
        if self._login is None:
            return None
        with self._guard:
            due = time.monotonic() >= self._next
            if due:
                self._next = time.monotonic() + EVERY
        if due:
            self._known = _asked(self._login)
        known = self._known
        return None if known is None else known[0] + time.monotonic() - known[1]


def _asked(host: JumpHost) -> tuple[float, float] | None:
    """Return the time of a host, and the reading of the monotonic clock at which it was so."""
    began = time.monotonic()
    try:
        argv = login_argv(host, COMMAND, seconds=SECONDS)
        done = subprocess.run(argv, capture_output=True, timeout=SECONDS, check=True, stdin=subprocess.DEVNULL)
        return float(done.stdout), (began + time.monotonic()) / 2
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


__all__ = ["HostClock"]
