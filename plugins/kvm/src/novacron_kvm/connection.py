"""Connections to one libvirt daemon: one for reads, and a dedicated one for each slow call.

A daemon answers five requests of one client at a time. Slow calls use other connections than reads, so that reads stay quick. A lost
connection never recovers: a new one is opened when it is needed, and subscribers are told.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import libvirt

from novacron.errors import HostConnectionError, NovaCronError, OperationTimeoutError, UnsupportedOperationError, VMNotFoundError
from novacron.macs import MACAddresses
from novacron.plugins.driver import AskPeers, no_peers
from novacron.secrets import Secrets
from novacron.state import StateDirectory
from novacron_kvm.errors import mapped, translated
from novacron_kvm.event_loop import ensure_running
from novacron_kvm.versions import refuse_old
from novacron_kvm.xml.parsing import parse, text_of

T = TypeVar("T")
KEEPALIVE = (3, 3)
"""Seconds between probes, and how many may stay unanswered: a dead link or hung daemon ends a call after 9 to 12 s."""
RECONNECT_TIMEOUT = 20.0
"""Seconds that a daemon has to come back before what it left behind is given up."""
REOPEN_SECONDS = 5.0
"""How long a lost connection is tried to be opened anew, within one call."""
IDLE_KEPT = 4
"""Dedicated connections that stay open for the next slow call."""


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
    ) -> None:
        ensure_running()
        self.uri, self.name, self.timeout = uri, name, timeout
        self.ask_peers = ask_peers
        self.secrets, self.macs, self.state = secrets or Secrets(), macs or MACAddresses(), state or StateDirectory()
        self.shared = not uri.startswith(("test:", "qemu:///embed"))
        self._guard = threading.RLock()
        self._idle: list[Any] = []
        self._closed = False
        self._identity: tuple[Any, str] | None = None
        self._reconnected: list[Callable[[Any], None]] = []
        self._read = self._open()
        with translated():
            self.libvirt_version: int = self._read.getLibVersion()
            self.node: str = self._read.getHostname()
        try:
            refuse_old(self.libvirt_version, name)
        except UnsupportedOperationError:
            self.close()
            raise

    @property
    def read(self) -> Any:
        """The connection for quick calls, opened anew when it was lost."""
        connection = self._read
        if not self._closed and connection.isAlive():
            return connection
        with self._guard:
            if self._closed:
                raise HostConnectionError(f"the connection to {self.name} is closed", outcome="not_sent")
            if not self._read.isAlive():
                self._read = self._open(min(self.timeout, REOPEN_SECONDS))
                for callback in list(self._reconnected):
                    callback(self._read)
            return self._read

    @property
    def identity(self) -> str:
        """The UUID of the libvirt host, the same under each of its names; read once for each connection."""
        connection, known = self.read, self._identity
        if known is None or known[0] is not connection:
            known = self._identity = (connection, text_of(parse(connection.getCapabilities()), "host/uuid") or "")
        return known[1]

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @contextmanager
    def dedicated(self) -> Iterator[Any]:
        """Give a connection that nobody else uses meanwhile."""
        if not self.shared:  # in-process drivers keep their state in the one connection
            yield self.read
            return
        with self._guard:
            connection = next((self._idle.pop() for _ in range(len(self._idle)) if self._idle[-1].isAlive()), None)
        connection = connection or self._open()
        try:
            yield connection
        except (HostConnectionError, OperationTimeoutError) as error:
            if error.outcome == "not_sent":  # that one call was not, but what came before it
                error.outcome = "unknown"
            raise
        finally:
            with self._guard:
                keep = not self._closed and len(self._idle) < IDLE_KEPT and connection.isAlive()
                if keep:
                    self._idle.append(connection)
            if not keep:
                _close(connection)

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
                if isinstance(error, OperationTimeoutError) and error.outcome != "not_sent":
                    raise  # the work's own deadline
                now = time.monotonic()
                worked = connected and now - began > RECONNECT_TIMEOUT
                if failing_since is None or worked:
                    failing_since = now if connected else began
                if self._closed or now - failing_since > RECONNECT_TIMEOUT:
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
            if isinstance(error.__cause__, libvirt.libvirtError) and not isinstance(error, HostConnectionError):
                return
            if isinstance(under_way, NovaCronError):
                under_way.details.setdefault("left", []).append(left)
                under_way.hint = f"{left} may be left behind; {under_way.hint}"

    def bounded(self, function: Callable[..., T], *arguments: Any, timeout: float) -> T:
        """Call something that may block in a thread of its own.

        Raises:
            OperationTimeoutError: it did not end within `timeout` seconds; its outcome is unknown.
        """
        return bounded(function, *arguments, timeout=timeout, what=f"a call to {self.name}")

    def on_reconnect(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call `callback` with each new read connection; return what ends that."""
        self._reconnected.append(callback)
        return lambda: self._reconnected.remove(callback)

    def close(self) -> None:
        """Close all connections."""
        with self._guard:
            self._closed = True
            connections = [self._read, *self._idle]
            self._idle.clear()
        for connection in connections:
            _close(connection)

    def _open(self, timeout: float | None = None) -> Any:
        limit = self.timeout if timeout is None else timeout
        future: Future[Any] = Future()
        abandoned = threading.Event()

        def run() -> None:
            try:
                connection = libvirt.openAuth(self.uri, [[libvirt.VIR_CRED_AUTHNAME], _no_password, None], 0)
                if self.shared:
                    connection.setKeepAlive(*KEEPALIVE)
            except BaseException as error:  # noqa: BLE001 - carried to the caller
                future.set_exception(error)
                return
            future.set_result(connection)
            if abandoned.is_set():
                _close(connection)

        threading.Thread(target=run, name=f"novacron-open-{self.name}", daemon=True).start()
        try:
            return future.result(limit)
        except TimeoutError:
            abandoned.set()
            raise OperationTimeoutError(
                f"connecting to {self.uri} took more than {limit:g} s", outcome="not_sent", hint="check that the host is up"
            ) from None
        except libvirt.libvirtError as error:
            found = mapped(error, operation="connect")
            if not isinstance(found, HostConnectionError):
                if type(found).__name__ in ("DriverError", "ImageNotFoundError"):
                    found = HostConnectionError(f"can't connect to {self.uri}: {found.message}", operation="connect")
            else:
                found.message = f"can't connect to {self.uri}: {found.message}"
            found.outcome = "not_sent"
            raise found from error


def bounded(function: Callable[..., T], *arguments: Any, timeout: float, what: str) -> T:
    """Call something that may block in a thread of its own, for at most `timeout` seconds; see `KVMConnection.bounded`."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - carried to the caller
            future.set_exception(error)

    threading.Thread(target=run, name="novacron-bounded", daemon=True).start()
    try:
        return future.result(timeout)
    except TimeoutError:
        if future.done():
            raise
        raise OperationTimeoutError(f"{what} did not end within {timeout:g} s", outcome="unknown") from None


def _no_password(credentials: list[Any], _: Any) -> int:
    return -1  # a driver never prompts; libvirt's auth.conf holds SASL credentials


def _close(connection: Any) -> None:
    try:
        connection.close()
    except libvirt.libvirtError:
        pass  # it was lost


__all__ = ["KVMConnection", "bounded"]
