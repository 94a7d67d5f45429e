"""Connections to one libvirt daemon: each thread that calls it has one of its own.

A daemon answers five requests of one client at a time, and libvirt's client is not safe for several threads (see `pool`). So a slow
call never delays another thread's call, and an abandoned one keeps nothing but its own connection. A lost connection never recovers: a new
one is opened when it is needed.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, TypeVar

import libvirt

from novacron.errors import BusyError, HostConnectionError, NovaCronError, OperationTimeoutError, VMNotFoundError
from novacron.macs import MACAddresses
from novacron.plugins.driver import AskPeers, no_lock, no_peers, nothing_declared
from novacron.secrets import Secrets
from novacron.state import StateDirectory
from novacron.threads import in_thread, within
from novacron_kvm.errors import translated
from novacron_kvm.event_loop import ensure_running
from novacron_kvm.pool import ConnectionPool, OnlyConnection
from novacron_kvm.versions import refuse_old
from novacron_kvm.xml.parsing import parse, text_of

T = TypeVar("T")
KEEPALIVE = (3, 3)
"""Seconds between probes, and how many may stay unanswered: a dead link or hung daemon ends a call after 9 to 12 s."""
RECONNECT_TIMEOUT = 20.0
"""Seconds that a daemon has to come back before what it left behind is given up."""
SSH_ATTEMPTS = 10
"""How often an `ssh` is run that ends without a reason; each time takes some milliseconds."""
CHECKED_SECONDS = 0.05
"""How long a connection counts as working after it was checked."""


class KVMConnection:
    """One host's connections.

    Attributes:
        name: the host's name in records.
        uri: the libvirt URI.
        libvirt_version: of the daemon, as libvirt counts: 9.0.0 is 9000000.
        node: the name of the machine behind it, the one that `node_list` names.
        secrets: looks secrets up by name.
        macs: gives out MAC addresses for new NICs.
        state: the state directory.
        ask_peers: calls a function with the `KVMConnection` of each other libvirt host of the fleet, and returns names and answers.
        shared_pools: returns the names of the storage pools that the host shares with others; None if that is not known.
        exclusive: holds a lock of a key against other threads, processes and machines during a block; BusyError after some seconds.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        timeout: float = 30.0,
        *,
        secrets: Secrets | None = None,
        macs: MACAddresses | None = None,
        state: StateDirectory | None = None,
        ask_peers: AskPeers = no_peers,
        shared_pools: Callable[[], Collection[str] | None] = nothing_declared,
        exclusive: Callable[[str, float], AbstractContextManager[None]] = no_lock,
    ) -> None:
        ensure_running()
        self.uri, self.name, self.timeout = uri, name, timeout
        self.ask_peers, self.shared_pools, self.exclusive = ask_peers, shared_pools, exclusive
        self.secrets, self.macs, self.state = secrets or Secrets(), macs or MACAddresses(), state or StateDirectory()
        self.shared = not uri.startswith(("test:", "qemu:///embed"))
        self._pool: ConnectionPool | OnlyConnection = (
            ConnectionPool(uri, partial(_open_watched, uri), timeout) if self.shared else OnlyConnection(uri, partial(_open, uri))
        )
        self._own = _OfThread()
        self._identity: tuple[int, str] | None = None
        try:
            with self.operation(), translated():
                self.libvirt_version: int = self.read.getLibVersion()
                self.node: str = self.read.getHostname()
            refuse_old(self.libvirt_version, name)
        except BaseException:
            self.close()
            raise

    @property
    def read(self) -> Any:
        """The connection of this thread. A lost one is replaced.

        Objects of a connection, such as domains, belong to the thread too: another thread looks them up on its own connection.
        """
        held = self._own.held
        if held is not None:
            if not self._pool.closed and held.works():
                return held.connection
            self._own.held = None
            held.give_back()
        try:
            self._own.held = held = _Held(self._pool, self.take())
        except (HostConnectionError, OperationTimeoutError) as error:
            if self._own.used:
                error.outcome = "unknown"  # earlier calls of the operation may have changed something
            raise
        self._own.used = self._own.within
        return held.connection

    @property
    def identity(self) -> str:
        """The UUID of the libvirt host, the same under each of its names. It is read again after a connection was lost."""
        connection, known = self.read, self._identity
        if known is None or known[0] != self._pool.lost:
            lost = self._pool.lost
            known = self._identity = (lost, text_of(parse(connection.getCapabilities()), "host/uuid") or "")
        return known[1]

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._pool.closed

    def take(self) -> Any:
        """Return a connection for something that several threads do one after another, such as a console. `give_back` returns it."""
        return self._pool.take()

    def give_back(self, connection: Any) -> None:
        """Let others use a connection of `take`."""
        self._pool.give_back(connection)

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Keep this thread's connection for a block, and give it back at its end. Blocks within the block use the same one.

        If a call was not sent because the connection was lost, earlier calls of the block were: its outcome is unknown.
        """
        outermost, self._own.within = not self._own.within, True
        try:
            yield
        except (HostConnectionError, OperationTimeoutError) as error:
            if self._own.used and error.outcome == "not_sent":
                error.outcome = "unknown"
            raise
        finally:
            if outermost:
                self._own.within = self._own.used = False
                held, self._own.held = self._own.held, None
                if held is not None:
                    held.give_back()

    @contextmanager
    def dedicated(self) -> Iterator[Any]:
        """Give the connection of this thread for calls that belong together. The outcome of all is unknown if it is lost."""
        with self.operation():
            connection = self.read  # if it can't be opened, nothing was sent
            try:
                yield connection
            except (HostConnectionError, OperationTimeoutError) as error:
                if error.outcome == "not_sent":  # that one call was not, but what came before it
                    error.outcome = "unknown"
                raise

    def domain(self, vm: str, connection: Any = None) -> Any:
        """Return libvirt's domain by UUID or name. Raises VMNotFoundError."""
        connection = connection or self.read
        with translated(resource=vm):
            if len(vm) == 36:
                try:
                    return connection.lookupByUUIDString(str(uuid.UUID(vm)))
                except (ValueError, libvirt.libvirtError) as error:
                    if isinstance(error, libvirt.libvirtError) and error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                        raise
            try:
                return connection.lookupByName(vm)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
                raise VMNotFoundError(f"no VM named {vm!r}", host=self.name, resource=vm) from error

    def resumable(self, work: Callable[[Any], T]) -> T:
        """Run `work` with a dedicated connection; if the connection is lost, run it again on a new one.

        Args:
            work: takes the connection. It looks at what is there before it changes anything, so that it may run more than once.
        Raises:
            HostConnectionError, OperationTimeoutError: there was no new connection within 20 s of a loss; the outcome is unknown.
        """
        failing_since: float | None = None
        while True:
            began, connected = time.monotonic(), False
            try:
                with self.dedicated() as conn, translated():
                    connected = True
                    return work(conn)
            except (HostConnectionError, OperationTimeoutError) as error:
                if connected and isinstance(error, OperationTimeoutError) and error.outcome != "not_sent":
                    raise  # the work's own deadline
                now = time.monotonic()
                worked = connected and now - began > RECONNECT_TIMEOUT
                if failing_since is None or worked:
                    failing_since = now if connected else began
                if self._pool.closed or now - failing_since > RECONNECT_TIMEOUT:
                    error.outcome = "unknown"
                    raise
            time.sleep(0.2)

    def ensure_undone(self, undo: Callable[[Any], None], left: str) -> None:
        """Undo something on a connection that works: the daemon may have died meanwhile, and comes back soon.

        Other errors of libvirt are ignored, because there may be nothing to undo. When the daemon does not come back, the error that is
        being handled says that `left` is left behind.
        """
        under_way = sys.exc_info()[1]
        try:
            self.resumable(undo)
        except NovaCronError as error:
            if isinstance(error.__cause__, libvirt.libvirtError) and not isinstance(error, (HostConnectionError, BusyError)):
                return
            if isinstance(under_way, NovaCronError):
                under_way.details.setdefault("left", []).append(left)
                under_way.hint = f"{left} may be left behind; {under_way.hint}"

    def bounded(self, function: Callable[..., T], *arguments: Any, timeout: float) -> T:
        """Call something that may block in a thread of its own, on the connection of this thread.

        If it does not end in time, the other thread keeps the connection, and libvirt's objects from before can't be used any more.

        Raises:
            OperationTimeoutError: it did not end within `timeout` seconds; its outcome is unknown.
        """
        lent, self._own.held = self._own.held, None
        kept, used = [lent], self._own.used

        def run() -> T:
            self._own.held, self._own.within, self._own.used = lent, True, used
            try:
                return function(*arguments)
            finally:
                kept[0], self._own.held = self._own.held, None

        future = in_thread(run, "novacron-bounded")
        try:
            future.exception(timeout)
        except BaseException as error:
            future.add_done_callback(lambda _: kept[0].give_back() if kept[0] else None)
            if not isinstance(error, TimeoutError):
                raise
            raise OperationTimeoutError(f"a call to {self.name} did not end within {timeout:g} s", outcome="unknown") from None
        self._own.held = kept[0]
        return future.result()

    def answers(self, seconds: float) -> bool:
        """Return whether the daemon answers within `seconds`.

        It gets twice the time that the last connection took to open: over SSH and a slow link, a new one takes many seconds.
        """

        def ask() -> None:
            with self.operation():
                self.read.getLibVersion()  # libvirt answers it even if all workers for long calls are busy

        try:
            within(max(seconds, 2 * self._pool.took), ask, "novacron-ask")
        except (TimeoutError, NovaCronError, libvirt.libvirtError):
            return False
        return True

    def close(self) -> None:
        """Close all connections; those in use as soon as their calls have ended."""
        self._pool.close()


class _Held:
    """A connection that one thread uses. It returns to the pool when the thread ends, at the latest."""

    def __init__(self, pool: ConnectionPool | OnlyConnection, connection: Any) -> None:
        self._pool: ConnectionPool | OnlyConnection | None = pool
        self.connection = connection
        self._checked = time.monotonic()  # the pool has just done it

    def works(self) -> bool:
        """Return whether the connection works. It is asked a few times a second: each question may let another thread run first."""
        now = time.monotonic()
        if now - self._checked < CHECKED_SECONDS:
            return True
        self._checked = now
        return bool(self.connection.isAlive())

    def give_back(self) -> None:
        """Return the connection to the pool. A second call does nothing."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.give_back(self.connection)

    __del__ = give_back


class _OfThread(threading.local):
    """What a thread has: its connection, whether it is within an operation, and whether the operation has used a connection."""

    held: _Held | None = None
    within = False
    used = False


def _open(uri: str) -> Any:
    """Open a connection without keepalive. It may block without end.

    libvirt reports what `ssh` said only if `ssh` ends after libvirt has written to it. An `ssh` that fails at once is therefore run again.
    """
    for attempt in range(SSH_ATTEMPTS):
        try:
            return libvirt.openAuth(uri, [[libvirt.VIR_CRED_AUTHNAME], _no_password, None], 0)
        except libvirt.libvirtError as error:
            program = "+ssh" in uri.partition(":")[0]
            if not program or "Cannot write data" not in str(error) or attempt == SSH_ATTEMPTS - 1:
                raise


def _open_watched(uri: str) -> Any:
    """Open a connection with keepalive. It may block without end, because keepalive begins when it is open."""
    connection = _open(uri)
    connection.setKeepAlive(*KEEPALIVE)
    return connection


def _no_password(credentials: list[Any], _: Any) -> int:
    return -1  # a driver never prompts; libvirt's auth.conf holds SASL credentials


__all__ = ["KVMConnection"]
