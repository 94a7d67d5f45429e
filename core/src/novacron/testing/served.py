"""Simulated hosts that outlive the processes that use them. One process has the hosts, others connect through a socket.

Like a real hypervisor, it completes operations even if the requesting process has died. For tests of crashes.

Example:
    >>> import novacron
    >>> with SimServer(["s1"]) as server:
    ...     with novacron.connect(server.uris["s1"]) as host:
    ...         host.vms.create(name="web1").status
    'stopped'
"""

from __future__ import annotations

import functools
import inspect
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

import msgspec

from novacron.drivers.sim import forget
from novacron.drivers.sim.fields import FIELDS
from novacron.drivers.sim.plugin import areas
from novacron.errors import HostConnectionError, NovaCronError
from novacron.jobs import Job
from novacron.plugins.driver import ConnectContext, Driver, DriverProvider, HostURI
from novacron.plugins.validation import operations
from novacron.site import connect, default_site

SCHEME = "served-sim"
LEFT_OUT = ("SimConsole", "SimEvents", "SimGuest")
"""Areas whose operations hand out live objects, which can't be sent."""


class Served(msgspec.Struct, frozen=True):
    """A completed operation: the requesting PID, its name, the VM, start and end time, and the name of the error."""

    pid: int
    host: str
    operation: str
    vm: str | None
    began: float
    ended: float
    error: str | None


class SimServer:
    """Serves simulated hosts on a socket that only the user's own processes can open. `log` lists all operations except reads."""

    def __init__(self, names: Iterable[str], query: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="novacron-sim-")
        self.path = Path(self._folder.name) / "socket"
        key = Path(self._folder.name) / "key"
        key.write_bytes(secrets.token_bytes(32))
        key.chmod(0o600)
        self.hosts = {name: connect(f"sim://{name}{query}", name=name) for name in names}
        self.uris = {name: f"{SCHEME}://{name}{self.path}" for name in self.hosts}
        self.log: list[Served] = []
        self._listener = Listener(str(self.path), "AF_UNIX", authkey=key.read_bytes())
        self._open = True
        self.provider = provider()
        default_site().drivers.register(self.provider)
        threading.Thread(target=self._accept, name="novacron-sim-server", daemon=True).start()

    def __enter__(self) -> SimServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and remove the hosts."""
        self._open = False
        self._listener.close()
        default_site().drivers.unregister(self.provider)
        for name, host in self.hosts.items():
            host.close()
            forget(name)
        self._folder.cleanup()

    def _accept(self) -> None:
        while self._open:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError):
                continue
            threading.Thread(target=self._serve, args=(connection,), name="novacron-sim-client", daemon=True).start()

    def _serve(self, connection: Any) -> None:
        try:
            pid, host, operation, arguments = connection.recv()
        except (OSError, EOFError):
            return
        began, answer = time.monotonic(), None
        error: NovaCronError | None = None
        try:
            if "to" in arguments:
                arguments["to"] = self.hosts[arguments["to"]].destination()
            if operations()[operation].long:
                job: Job[Any] = Job(operation)
                arguments["job"] = job
                threading.Thread(
                    target=self._handle_signals, args=(connection, job), name="novacron-sim-job", daemon=True
                ).start()
            answer = self._implementation(host, operation)(**arguments)
        except NovaCronError as raised:
            error = raised
        finally:
            if "job" in arguments:
                arguments["job"].set_result(None)
        if not operations()[operation].reads:
            vm = arguments.get("vm")
            name = type(error).__name__ if error else None
            self.log.append(Served(pid, host, operation, vm, began, time.monotonic(), name))
        try:
            connection.send(("error", _packed(error)) if error else ("done", answer))
        except OSError:
            pass  # who asked has died

    def _implementation(self, host: str, operation: str) -> Any:
        """Return the driver's own method. Policies run in the requesting process."""
        parts = self.hosts[host].dispatcher.driver.parts
        return next(getattr(part, operation) for part in parts if hasattr(part, operation))

    def _handle_signals(self, connection: Any, job: Job[Any]) -> None:
        while not job.done():
            try:
                if connection.poll(0.005):
                    connection.recv()
                    job.cancel()
            except (OSError, EOFError):
                return  # the client has died, the operation continues


def provider() -> DriverProvider:
    """Return the driver for hosts of another process. Processes that connect to them register it."""
    return DriverProvider(name="sim", schemes=(SCHEME,), connect=_connect, fields=lambda: FIELDS)


def _connect(uri: HostURI, context: ConnectContext) -> Driver:
    socket, name = uri.path, uri.host or ""

    def call(operation: str, arguments: Mapping[str, Any]) -> Any:
        job = arguments.get("job")
        plain = {k: v.name if k == "to" else v for k, v in arguments.items() if k != "job"}
        try:
            key = (Path(socket).parent / "key").read_bytes()
            with Client(socket, "AF_UNIX", authkey=key) as connection:
                connection.send((os.getpid(), name, operation, plain))
                while not connection.poll(0.01):
                    if job is not None and job.cancel_asked:
                        connection.send("cancel")
                        connection.poll(None)
                kind, answer = connection.recv()
        except (OSError, EOFError) as error:
            raise HostConnectionError(f"the simulated host can't be reached: {error}", outcome="unknown") from error
        if kind == "error":
            raise _unpacked(answer)
        return answer

    return Driver([_proxy(area)(call) for area in areas() if area.__name__ not in LEFT_OUT])


@functools.lru_cache
def _proxy(area: type) -> type:
    """Return a class with an area's operations, which are passed to `call`."""

    def handing(name: str, original: Any) -> Any:
        signature = inspect.signature(original)

        @functools.wraps(original)
        def method(self: Any, *args: Any, **named: Any) -> Any:
            given = signature.bind(self, *args, **named).arguments
            given.pop("self")
            return self.call(name, given)

        return method

    def begin(self: Any, call: Any) -> None:
        self.call = call

    methods = {name: handing(name, getattr(area, name)) for name in dir(area) if name in operations()}
    return type(area.__name__, (), {"__init__": begin, **methods})


def _packed(error: NovaCronError) -> tuple[type[NovaCronError], tuple[Any, ...], dict[str, Any]]:
    return type(error), error.args, {k: v for k, v in vars(error).items() if not k.startswith("__")}


def _unpacked(packed: tuple[type[NovaCronError], tuple[Any, ...], dict[str, Any]]) -> NovaCronError:
    cls, args, state = packed
    error = cls.__new__(cls)
    error.args = args
    vars(error).update(state)
    return error


__all__ = ["SCHEME", "Served", "SimServer", "provider"]
