"""The hosts that a flow deals with, by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from novacron.errors import HostNotFoundError
from novacron.handles.collection import NamedMapping

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle


class HostResolver(Protocol):
    """Finds hosts that a flow only knows by name or URI."""

    def uris(self) -> Mapping[str, str]:
        """Return the URIs of the registered hosts by name."""
        ...

    def open(self, name: str) -> HostHandle:
        """Return a registered host, connected. Raises HostNotFoundError."""
        ...

    def connect(self, uri: str, name: str) -> HostHandle:
        """Connect to a host that need not be registered."""
        ...


class FleetResolver:
    """Finds hosts in a fleet. The state database is only opened when a host is looked for.

    Args:
        fleet: returns the fleet.
        connect: connects to a URI under a name.
    """

    def __init__(self, fleet: Callable[[], Any], connect: Callable[..., HostHandle]) -> None:
        self._fleet, self._connect = fleet, connect

    def uris(self) -> Mapping[str, str]:
        """Return the URIs of the fleet's hosts by name."""
        return {host.name: host.uri for host in self._fleet().list()}

    def open(self, name: str) -> HostHandle:
        """Return a host of the fleet."""
        host: HostHandle = self._fleet().hosts[name]
        return host

    def connect(self, uri: str, name: str) -> HostHandle:
        """Connect to a host."""
        return self._connect(uri, name=name)


def default_resolver() -> HostResolver:
    """Return what finds hosts with the default site."""
    from novacron.workflow.defaults import default_site

    return FleetResolver(lambda: default_site().fleet, lambda uri, name: default_site().connect(uri, name=name))


class Hosts(NamedMapping["HostHandle"]):
    """Hosts by name: the given ones, those of `uris`, then those of the resolver.

    Args:
        given: hosts by name; earlier mappings win.
        uris: URIs of hosts that need not be registered.
        resolver: finds all others; the fleet's when None.
        acting: turns a host into one whose calls carry the actor of the run.
    """

    def __init__(
        self,
        *given: Mapping[str, HostHandle],
        uris: Mapping[str, str] | None = None,
        resolver: HostResolver | None = None,
        acting: Callable[[HostHandle], HostHandle] = lambda host: host,
    ) -> None:
        self._given, self._uris, self._resolver, self._acting = given, dict(uris or {}), resolver or default_resolver(), acting
        self._opened: dict[str, HostHandle] = {}
        self._guard = threading.RLock()

    def __getitem__(self, name: str) -> HostHandle:
        return self._acting(self._plain(name))

    def _plain(self, name: str) -> HostHandle:
        for known in (*self._given, self._opened):
            if name in known:
                return known[name]
        uri = self._uris.get(name)
        if uri is not None and self._resolver.uris().get(name) != uri:
            return self._connected(name, uri)
        return self._resolver.open(name)

    def _connected(self, name: str, uri: str) -> HostHandle:
        with self._guard:
            if name not in self._opened:
                self._opened[name] = self._resolver.connect(uri, name)
            return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter({name for known in (*self._given, self._opened) for name in known})

    def __len__(self) -> int:
        return len(list(iter(self)))

    def at(self, name: str, uri: str | None = None) -> HostHandle:
        """Return a host by name, or connect to `uri` if the name is unknown. Raises HostNotFoundError."""
        try:
            return self[name]
        except HostNotFoundError:
            if uri is None:
                raise
        return self._acting(self._connected(name, uri))

    def given(self, name: str) -> HostHandle:
        """Return a host as it was given or connected, for callers outside of the run."""
        return self._plain(name)

    def close(self, keep: Collection[str] = ()) -> None:
        """Close the connections that were made here, except for the names in `keep`."""
        while self._opened:
            name, host = self._opened.popitem()
            if name not in keep:
                host.close()


__all__ = ["FleetResolver", "HostResolver", "Hosts", "default_resolver"]
