"""The connections to one libvirt daemon. A thread takes one for its own use and gives it back.

Two threads never use one connection at the same time, because libvirt's client is not safe for that before version 10.3:

- CVE-2024-4418: a thread that waits for an answer leaves a pointer to its stack in the connection's event loop when another thread wakes
  it. A later thread follows the pointer. The process dies of SIGSEGV, mostly after the link was cut.
- Two threads wait on a connection that keepalive declares dead. libvirt wakes only the first one. The second one waits without end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import libvirt

from novacron.errors import HostConnectionError, OperationTimeoutError
from novacron.threads import SLICE, fan_out
from novacron_kvm.errors import mapped
from novacron_kvm.openings import Opening, openings_to

IDLE_KEPT = 4
"""Connections that stay open for the next call."""
OPENED_AT_ONCE = 4
"""Connections that are opened at the same time. SSH servers reject more logins at once (`MaxStartups`, ten by default)."""
REOPEN_SECONDS = 5.0
"""How long `take` waits for a new connection at most if the last one was found dead or could not be opened."""
CLOSE_SECONDS = 2.0
"""How long `close` waits for a daemon to answer."""


class ConnectionPool:
    """Open connections to one URI that no thread uses now.

    No lock is held while libvirt is called, so `take` and `close` never wait for another thread's call.

    Args:
        uri: the libvirt URI, for errors.
        open_: opens a connection. It may block without end.
        timeout: the longest time that `take` waits for a new connection, in seconds. An opening that takes longer counts as failed. It may
            still succeed later.
    """

    def __init__(self, uri: str, open_: Callable[[], Any], timeout: float) -> None:
        self._uri, self._open, self._timeout = uri, open_, timeout
        self._changed = threading.Condition()
        self._idle: list[Any] = []
        self._waiting = 0
        self._openings: list[Opening] = []
        self._all = openings_to(uri)
        self._failures: tuple[int, Exception | None] = (0, None)
        self.closed = False
        self.took = 0.0
        """How many seconds the last opening took that succeeded in time."""
        self.lost = 0
        """How many connections were found dead."""
        self.failing = False
        """Whether the last connection was found dead or could not be opened."""

    def take(self) -> Any:
        """Return a connection that works and that nobody else uses.

        Raises:
            HostConnectionError: the pool is closed, or the host can't be reached.
            OperationTimeoutError: no connection could be opened in time.
        """
        began = time.monotonic()
        while True:
            connection = self._wait_for_one(began)
            if connection.isAlive():
                return connection
            self._discard(connection)

    def give_back(self, connection: Any) -> None:
        """Let other threads use a connection; `take` looks whether it is dead. It is closed if enough others are idle."""
        with self._changed:
            keep = not self.closed and (self._waiting or len(self._idle) < IDLE_KEPT)
            if keep:
                self._idle.append(connection)
                self._changed.notify()
        if not keep:
            close(connection)

    def close(self) -> None:
        """Close all idle connections. Connections in use are closed when they are given back.

        A daemon that does not answer is not waited for longer than two seconds.
        """
        with self._changed:
            self.closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        fan_out(idle, close, seconds=CLOSE_SECONDS, limit=IDLE_KEPT, name="novacron-close")

    def _wait_for_one(self, began: float) -> Any:
        with self._changed:
            failures = self._failures[0]
            self._waiting += 1
            try:
                while not self._idle:
                    if self.closed:
                        raise closed_error(self._uri)
                    if self._failures[0] != failures:
                        raise _failure(self._uri, self._failures[1])
                    self._begin_opening()
                    seconds = min(self._timeout, REOPEN_SECONDS) if self.failing else self._timeout
                    left = began + seconds - time.monotonic()
                    if left <= 0:
                        self.failing = True
                        raise OperationTimeoutError(
                            f"connecting to {self._uri} took more than {seconds:g} s",
                            outcome="not_sent",
                            hint="check that the host is up",
                        )
                    self._changed.wait(min(SLICE, left))
                return self._idle.pop()
            finally:
                self._waiting -= 1

    def _begin_opening(self) -> None:
        """Open another connection, unless enough are being opened for those who wait.

        Raises:
            OperationTimeoutError: none is being opened, because too many openings hang.
            HostConnectionError: there is no thread for it.
        """
        now = time.monotonic()
        self._openings = [each for each in self._openings if now - each.began < self._timeout]
        if len(self._openings) < min(self._waiting, OPENED_AT_ONCE):
            try:
                opening = self._all.begin(self._timeout)
            except OperationTimeoutError:
                self.failing = True
                if not self._openings:
                    raise
                return
            try:
                threading.Thread(target=self._opening, args=(opening,), name="novacron-open", daemon=True).start()
            except RuntimeError as error:  # the system has no thread left
                self._all.end(opening)
                raise HostConnectionError(f"can't connect to {self._uri}: {error}", outcome="not_sent") from error
            self._openings.append(opening)

    def _opening(self, opening: Opening) -> None:
        connection: Any = None
        error: Exception | None = None
        try:
            connection = self._open()
        except Exception as raised:  # noqa: BLE001 - carried to those who wait
            error = raised
        self._all.end(opening)
        seconds = time.monotonic() - opening.began
        with self._changed:
            if opening in self._openings:
                self._openings.remove(opening)
            # many openings end at once when a host that hung answers again
            wanted = not self.closed and len(self._idle) < max(IDLE_KEPT, self._waiting)
            if connection is None:
                self.failing, self._failures = True, (self._failures[0] + 1, error)
            else:
                self.failing = False
                self.took = seconds if seconds < self._timeout else self.took
                if wanted:
                    self._idle.append(connection)
            self._changed.notify_all()
        if connection is not None and not wanted:
            close(connection)

    def _discard(self, connection: Any) -> None:
        with self._changed:
            self.lost += 1
            self.failing = True
        close(connection)


class OnlyConnection:
    """The one connection of a driver that runs in this process (`test:`), which keeps its state there. All threads share it.

    It has the methods of `ConnectionPool`.
    """

    def __init__(self, uri: str, open_: Callable[[], Any]) -> None:
        self._uri = uri
        try:
            self._connection = open_()
        except libvirt.libvirtError as error:
            raise _failure(uri, error) from error
        self.closed, self.failing, self.lost, self.took = False, False, 0, 0.0

    def take(self) -> Any:
        """Return the connection. Raises HostConnectionError when it was closed."""
        if self.closed:
            raise closed_error(self._uri)
        return self._connection

    def give_back(self, connection: Any) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
        if not self.closed:
            self.closed = True
            close(self._connection)


def closed_error(uri: str) -> HostConnectionError:
    """Return the error of a call on a closed host."""
    return HostConnectionError(f"the connection to {uri} is closed", outcome="not_sent")


def close(connection: Any) -> None:
    """Close a connection. One that was lost is closed as well."""
    try:
        connection.close()
    except libvirt.libvirtError:
        pass  # it was lost


def _failure(uri: str, error: Exception | None) -> Exception:
    """Return the error of an opening that failed, for one of those who wait."""
    if not isinstance(error, libvirt.libvirtError):
        return error or HostConnectionError(f"can't connect to {uri}", outcome="not_sent")
    found = mapped(error, operation="connect")
    if isinstance(found, HostConnectionError):
        found.message = f"can't connect to {uri}: {found.message}"
    elif type(found).__name__ in ("DriverError", "ImageNotFoundError"):
        found = HostConnectionError(f"can't connect to {uri}: {found.message}", operation="connect")
    found.outcome, found.__cause__ = "not_sent", error
    return found


__all__ = ["ConnectionPool", "OnlyConnection"]
