"""The registered hosts, known by name, and their connections."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from novacron.errors import HostNotFoundError, either
from novacron.handles.collection import NamedMapping, checked_key
from novacron.handles.host import HostHandle
from novacron.plugins.driver import HostURI
from novacron.store.hosts import HostStore, RegisteredHost


class FleetHosts(NamedMapping[HostHandle]):
    """The fleet's hosts by name. A host is connected when it is first asked for.

    Args:
        store: the registered hosts.
        connect: connects to a URI.
    """

    def __init__(self, store: HostStore, connect: Callable[..., HostHandle]) -> None:
        self._store, self._connect = store, connect
        self._open: dict[str, HostHandle] = {}
        self._opening: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._names: dict[str, RegisteredHost] | None = None

    def registered(self, *, fresh: bool = False) -> dict[str, RegisteredHost]:
        """Return the registered hosts by name; as the database has them now if `fresh`."""
        if self._names is None or fresh:
            self._names = {host.name: host for host in self._store.list()}
        return self._names

    def __getitem__(self, name: str) -> HostHandle:
        return self.open(name)

    def open(self, name: str, **options: Any) -> HostHandle:
        """Return a host of the fleet, connected.

        Args:
            name: the host's name.
            options: the driver's options (a password), used if there is no connection yet.

        Raises:
            HostNotFoundError: no host of that name is registered.
            AuthenticationError: its `details["option"]` names the option that was missing.
            HostConnectionError, OperationTimeoutError
        """
        checked_key(name)
        with self._guard:
            handle = self._open.get(name)
            if handle is not None and not handle.closed:
                return handle
            mine = self._opening.setdefault(name, threading.Lock())
        with mine:  # a host that hangs delays nobody who asks for another
            with self._guard:
                handle = self._open.get(name)
                if handle is not None and not handle.closed:
                    return handle
            known = self.registered().get(name) or self.registered(fresh=True).get(name)
            if known is None:
                if "@" in name or ":" in name:
                    HostURI.parse(name)  # a URI that is written wrongly; it may hold a password, which this error does not repeat
                near = difflib.get_close_matches(name, self.registered(), n=3)
                hint = f"did you mean {either(near)}?" if near else None
                raise HostNotFoundError(f"no host named {name!r} in the fleet", hint=hint)
            handle = self._connect(known.uri, name=name, **options)
            with self._guard:
                current = self._opening.get(name) is mine
                if current:
                    self._open[name] = handle
        if current:
            return handle
        handle.close()  # it was removed or replaced meanwhile
        return self.open(name, **options)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.registered()))

    def __len__(self) -> int:
        return len(self.registered())

    def __contains__(self, name: object) -> bool:
        return name in self.registered()

    def __repr__(self) -> str:
        return f"<hosts of the fleet, {len(self._open)} connected>"

    def forget(self, name: str) -> None:
        """Close the connection to a host, if there is one, and read the names again."""
        with self._guard:
            handle = self._open.pop(name, None)
            self._opening.pop(name, None)
            self._names = None
        if handle is not None:
            handle.close()

    def close(self) -> None:
        """Close all connections."""
        for name in list(self._open):
            self.forget(name)


__all__ = ["FleetHosts"]
