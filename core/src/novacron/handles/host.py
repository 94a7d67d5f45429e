"""A connected host."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from novacron.dispatch.dispatcher import Dispatcher
from novacron.errors import HostNotFoundError, InvalidSpecError, SpecProblem, UnsupportedOperationError
from novacron.handles.filters import FilterCollection
from novacron.handles.images import ImageCollection
from novacron.handles.networks import NetworkCollection
from novacron.handles.pools import PoolCollection
from novacron.handles.templates import TemplateCollection
from novacron.handles.vms import VMCollection
from novacron.identity import Identity
from novacron.jobs import Job
from novacron.plugins.driver import Destination
from novacron.records.events import Event
from novacron.records.host import Capabilities, Host, HostStats, Node, Ping


class HostHandle:
    """A host to work with: `host.vms`, `host.pools`, `host.networks`, `host.filters`, `host.templates`.

    Example:
        >>> import novacron
        >>> with novacron.connect("sim://lab") as host:
        ...     host.supports("vm_start"), host
        (True, <Host lab sim://lab>)
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        uri: str,
        engine: Callable[[], Any] | None = None,
        find: Callable[[str], HostHandle] | None = None,
    ) -> None:
        self.dispatcher = dispatcher
        self.engine = engine
        self.name = dispatcher.host
        self.uri = uri
        self._find = find
        self.vms = VMCollection(self)
        self.pools = PoolCollection(self)
        self.networks = NetworkCollection(self)
        self.filters = FilterCollection(self)
        self.templates = TemplateCollection(self)
        self.images = ImageCollection(self)

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.uri}{' closed' if self.closed else ''}>"

    def __dir__(self) -> Iterable[str]:
        return sorted(
            ["acting_for", "capabilities", "close", "driver_name", "events", "filters", "images",
             "info", "invoke", "name", "networks", "nodes", "ping", "pools",
             "stats", "submit", "supports", "templates", "uri", "vms"]
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def driver_name(self) -> str:
        """The driver's name, "kvm"."""
        return self.dispatcher.driver_name

    @property
    def closed(self) -> bool:
        """Whether the connection was closed."""
        return self.dispatcher.driver.closed

    @property
    def identity(self) -> Identity:
        """Who asks for the operations of this handle."""
        return self.dispatcher.identity

    def acting_for(self, actor: str) -> HostHandle:
        """Return a handle on the same connection whose operations are asked for by `actor`.

        Audit lines name the actor, and the identity of this handle as the executor.

        Example:
            >>> import novacron
            >>> host = novacron.connect("sim://lab").acting_for("ann")
            >>> host.submit("vm_create", spec=novacron.VMSpec(name="for-ann")).actor
            'ann'
        """
        return HostHandle(self.dispatcher.acting_for(actor), uri=self.uri, engine=self.engine, find=self._find)

    def other(self, host: HostHandle | str) -> HostHandle:
        """Return another host: a handle as it is, a name from the fleet of the same site.

        Raises:
            HostNotFoundError: The fleet has no host of that name.
            InvalidSpecError: It is neither a handle nor a name.
        """
        if isinstance(host, HostHandle):
            return host
        if not isinstance(host, str):
            problem = SpecProblem("to", repr(host), "a host, or the name of one in the fleet")
            raise InvalidSpecError("invalid host", problems=[problem], outcome="not_sent")
        if self._find is None:
            raise HostNotFoundError(f"no host named {host!r}: this handle belongs to no fleet")
        return self._find(host)

    def supports(self, operation: str) -> bool:
        """Whether the driver offers an operation, by its hook's name."""
        return self.dispatcher.supports(operation)

    def invoke(self, operation: str, timeout: float | None = None, **arguments: Any) -> Any:
        """Do any operation by its hook's name and return the driver's record; what all handles' methods end in."""
        return self.dispatcher.invoke(operation, timeout, **arguments)

    def submit(self, operation: str, timeout: float | None = None, **arguments: Any) -> Job[Any]:
        """Begin any operation and return its job."""
        return self.dispatcher.submit(operation, timeout, **arguments)

    def info(self) -> Host:
        """Describe the host."""
        result: Host = self.invoke("host_info")
        return result

    def stats(self) -> HostStats:
        """Tell what the host has and uses now."""
        result: HostStats = self.invoke("host_stats")
        return result

    def ping(self) -> Ping:
        """Make one round trip."""
        result: Ping = self.invoke("host_ping")
        return result

    def nodes(self) -> list[Node]:
        """List the machines behind the host."""
        result: list[Node] = self.invoke("node_list")
        return result

    def capabilities(self) -> Capabilities:
        """Tell what VMs it can run and which operations it offers (derived from the driver's hooks)."""
        operations = tuple(sorted(self.dispatcher.operations))
        if not self.supports("host_capabilities"):
            return Capabilities(host=self.name, driver=self.driver_name, operations=operations)
        found: Capabilities = self.invoke("host_capabilities")
        result: Capabilities = found.replace(operations=operations)
        return result

    def events(self, kinds: Iterable[str] | None = None, *, timeout: float | None = None) -> EventStream:
        """Iterate over what happens on the host from now on; ends after `timeout` seconds without an event, if given."""
        return EventStream(self, frozenset(kinds) if kinds is not None else None, timeout)

    def subscribe(self, callback: Callable[[Event], object]) -> Any:
        """Call `callback` with each event until the returned subscription's `close()`."""
        return self.invoke("event_subscribe", callback=callback)

    def destination(self) -> Destination:
        """Return this host as the other side of a migration."""
        return Destination(self.name, self.uri, self.dispatcher.driver, self.invoke)

    def close(self) -> None:
        """Let go of the connection; running VMs and jobs of the hypervisor go on."""
        self.dispatcher.driver.close()


class EventStream:
    """An iterator over a host's events; registered when made, so nothing after that is missed. Close it, or use `with`."""

    def __init__(self, host: HostHandle, kinds: frozenset[str] | None, timeout: float | None) -> None:
        if not host.supports("event_subscribe"):
            raise UnsupportedOperationError(f"the driver {host.driver_name!r} has no events", host=host.name)
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._timeout = timeout
        self._kinds = kinds
        self._subscription = host.subscribe(self._put)

    def _put(self, event: Event) -> None:
        if self._kinds is None or event.kind in self._kinds:
            self._queue.put(event)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            event = self._queue.get(timeout=self._timeout)
        except queue.Empty:
            event = None
        if event is None:
            self.close()
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the subscription; a waiting `next()` stops."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
            self._queue.put(None)


__all__ = ["EventStream", "HostHandle"]
