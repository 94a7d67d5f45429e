"""The classes of a driver: a provider that supports URI schemes, and the objects of one connection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import pluggy

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.hookspecs.operation import PROJECT
from novacron.macs import MACAddresses
from novacron.plugins.fields import FieldTable
from novacron.secrets import Secrets
from novacron.state import StateDirectory
from novacron.urls import problem_of, scheme_of

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a method as an implementation of the hook with the same name."""


class _Parameters(Mapping[str, str]):
    """The parameters of a query, by their names in lower case; looked up without regard to case."""

    def __init__(self, given: Iterable[tuple[str, str]]) -> None:
        self._values = {name.lower(): value for name, value in given}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


class HostURI(NamedTuple):
    """The URI of a host: `scheme://user@host:port/path?query`. `text` is the URI without a password.

    The names of the query's parameters are in lower case: `?Verify=no` is `?verify=no`. A driver may ask for them in any case.

    Example:
        >>> uri = HostURI.parse("qemu+ssh://root@kvm1:2222/system?keyfile=/k")
        >>> uri.scheme, uri.username, uri.host, uri.port, uri.path, uri.query
        ('qemu+ssh', 'root', 'kvm1', 2222, '/system', {'keyfile': '/k'})
    """

    text: str
    scheme: str
    username: str | None
    host: str | None
    port: int | None
    path: str
    query: Mapping[str, str]

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> HostURI:
        """Parse a URI.

        Raises:
            InvalidSpecError: not a URI, or one with a password, a fragment or a secret in its query. The error shows only its scheme.
        """
        if problem := problem_of(text, user=True):
            secret = problem.startswith("a URL without")
            raise InvalidSpecError(
                "invalid URI",
                problems=[SpecProblem("uri", scheme_of(text), problem)],
                hint=PASSWORD_HINT if secret else URI_HINT,
                outcome="not_sent",
            )
        parts = urlsplit(text)
        query = _Parameters(parse_qsl(parts.query, keep_blank_values=True))
        user = unquote(parts.username) if parts.username else None
        return cls(text, parts.scheme, user, parts.hostname, parts.port, parts.path, query)


PASSWORD_HINT = "store passwords in the keyring or an environment variable, because URIs are displayed and stored"  # noqa: S105 - a hint
URI_HINT = 'for example "qemu:///system", "qemu+ssh://root@kvm1/system", "sim://lab"'


AskPeers = Callable[[Callable[[Any], Any]], Sequence[tuple[str, Any]]]
NO_ANSWER: Final = object()
"""Stands in place of the answer of a host that did not answer."""


def _always(seconds: float) -> bool:
    return True


def no_lock(key: str, timeout: float = 30.0) -> AbstractContextManager[None]:
    """Return a context manager that locks nothing: a connection outside a site knows no other processes."""
    return nullcontext()


def nothing_declared() -> Collection[str] | None:
    """Return None: nobody said which storage pools are shared."""
    return None


def no_peers(what: Callable[[Any], Any]) -> Sequence[tuple[str, Any]]:
    """Return no answers: a connection outside a site knows no other hosts."""
    return []


class ConnectContext(NamedTuple):
    """What a driver gets when it connects.

    Attributes:
        name: the host's name, for records and errors.
        timeout: longest time for connecting, in seconds.
        options: further options of the user, named by the driver.
        secrets: looks up secrets by name.
        macs: provides MAC addresses for new NICs.
        state: the state directory, for the driver's own files.
        ask_peers: calls a function with the native connection of each other registered host of the same driver, and returns the names of
            the hosts with their answers, `NO_ANSWER` from a host that does not answer within 10 s.
        shared_pools: returns the names of the storage pools that the host shares with others, by the settings of its group. None if the
            settings do not say.
        exclusive: returns a context manager that holds a lock against all other threads, processes and machines of the site. It takes a
            key, such as "file a.qcow2", and how many seconds to wait; then it raises BusyError.
    """

    name: str
    timeout: float
    options: Mapping[str, Any]
    secrets: Secrets = Secrets()
    macs: MACAddresses = MACAddresses()
    state: StateDirectory = StateDirectory()
    ask_peers: AskPeers = no_peers
    shared_pools: Callable[[], Collection[str] | None] = nothing_declared
    exclusive: Callable[[str, float], AbstractContextManager[None]] = no_lock

    def __repr__(self) -> str:
        return f"<ConnectContext {self.name}, options: {', '.join(sorted(self.options)) or 'none'}>"


class Driver:
    """One connection: the area objects that implement the operations.

    Args:
        parts: the area objects; their methods carry `hookimpl`. An area that uses other areas has a method `connect_areas(parts)`, which
            gets all of them. An area with its own resources (a thread) has a method `close()`, called before the driver's `close`.
        areas: functions that return further area objects, by the name of the area in the contract, such as "snapshots". Each is called when
            an operation of its area is first used, so that a short command imports only the modules that it needs.
        close: called once when the host is closed.
        native: the driver's own connection, for drivers of the same kind (the other host of a migration).
        answers: returns whether the hypervisor answers within some seconds, or within the time that its link needs if that is longer. A
            cancelled operation is waited for only as long as it does.
        during: returns a context manager that surrounds each operation, in its thread. It lets a driver give each thread a connection for
            that time.
    """

    def __init__(
        self,
        parts: Sequence[object] = (),
        *,
        areas: Mapping[str, Callable[[], object]] = MappingProxyType({}),
        close: Callable[[], object] | None = None,
        native: Any = None,
        answers: Callable[[float], bool] = _always,
        during: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.native = native
        self.answers, self.during = answers, during
        self.areas = areas
        self._close = close or bool
        self._closed = False
        self._guard = threading.RLock()
        self._parts = list(parts)
        self._made: dict[str, object] = {}
        for part in parts:
            self._connect_areas(part)

    @property
    def parts(self) -> tuple[object, ...]:
        """All area objects. Those that do not exist yet are made."""
        for name in self.areas:
            self.area(name)
        return tuple(self._parts)

    @property
    def made(self) -> tuple[object, ...]:
        """The area objects that exist."""
        with self._guard:
            return tuple(self._parts)

    def area(self, name: str) -> object:
        """Return the object of one of `areas`, and make it at the first call."""
        with self._guard:
            if name not in self._made:
                part = self._made[name] = self.areas[name]()
                self._parts.append(part)
                self._connect_areas(part)
            return self._made[name]

    @property
    def closed(self) -> bool:
        """Whether the connection was closed."""
        return self._closed

    def close(self) -> None:
        """Close the connection to the hypervisor. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for part in self.made:
            getattr(part, "close", bool)()
        self._close()

    def _connect_areas(self, part: object) -> None:
        if hasattr(part, "connect_areas"):
            part.connect_areas(self.parts)


class DriverProvider:
    """A driver: the object that an entry point of the group `novacron.drivers` names. It opens connections for its URI schemes.

    Args:
        name: the driver's name in records and errors.
        schemes: its URI schemes, which are also the names of its entry points.
        connect: returns a `Driver`, or raises a NovaCronError within `context.timeout`.
        areas: returns the classes of the area objects, for the documentation, without a connection.
        limits: returns the requirements and limits by operation: "external snapshots: libvirt 10.9".
        versions: returns the required version of the hypervisor by operation, such as "5.6.0"; the key "" is for all others.
        proofs: returns by operation where it is tested if not on a real hypervisor, such as "a simulator"; the key "" is for all others.
        fields: returns the supported fields of each spec, see `novacron.plugins.fields`. Other fields are rejected before the driver is
            called. None declares nothing: the driver then gets all fields and must reject unsupported ones itself.
        reasons: returns why a field is not supported, by spec and field: {"VMSpec.sound": "the hypervisor has no sound cards"}. The
            text stands in errors and in the documentation.
        native: the line of help of `novacron SCHEME`, the commands of its native operations (see `novacron.plugins.native`); the group
            is named after its first scheme. Empty if it has none.
        options: the names of the supported options of `connect`; None if they are not checked.
        parameters: the names, in lower case, that the query of its URIs may have; others are rejected before the driver is called. None
            if they are not checked.
        api: the versions of the contract that it supports.
    """

    def __init__(
        self,
        *,
        name: str,
        schemes: Sequence[str],
        connect: Callable[[HostURI, ConnectContext], Driver],
        areas: Callable[[], Sequence[type]] = tuple,
        limits: Callable[[], Mapping[str, str]] = dict,
        versions: Callable[[], Mapping[str, str]] = dict,
        proofs: Callable[[], Mapping[str, str]] = dict,
        fields: Callable[[], FieldTable] | None = None,
        reasons: Callable[[], Mapping[str, str]] = dict,
        native: str = "",
        options: Sequence[str] | None = None,
        parameters: Sequence[str] | None = None,
        api: str = ">=1,<2",
    ) -> None:
        self.native = native
        self.options = None if options is None else tuple(options)
        self.parameters = None if parameters is None else tuple(parameters)
        self.name, self.schemes, self.connect, self.api = name, tuple(schemes), connect, api
        self.areas, self.limits, self.versions, self.proofs, self.fields = areas, limits, versions, proofs, fields
        self.reasons = reasons


class Destination(NamedTuple):
    """The destination of a migration, as the source's driver sees it.

    Attributes:
        name: the destination host's name.
        uri: its URI as text.
        driver: its Driver. `driver.native` has the same type only if the driver is of the same kind.
        invoke: calls an operation there: `invoke("vm_get", vm=...)`.
    """

    name: str
    uri: str
    driver: Driver
    invoke: Callable[..., Any]


__all__ = ["ConnectContext", "Destination", "Driver", "DriverProvider", "HostURI", "hookimpl"]
