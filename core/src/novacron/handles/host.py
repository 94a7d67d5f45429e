"""The handle of a connected host. The modules of its collections are imported when a collection is first used."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from novacron.errors import HostNotFoundError, InvalidSpecError, SpecProblem, UnsupportedOperationError
from novacron.plugins.driver import Destination
from novacron.text import printable_line

if TYPE_CHECKING:
    from novacron.dispatch.dispatcher import Dispatcher
    from novacron.handles.devices import HostDevices
    from novacron.handles.filters import FilterCollection
    from novacron.handles.images import ImageCollection
    from novacron.handles.native import NativeOperations
    from novacron.handles.networks import NetworkCollection
    from novacron.handles.pools import PoolCollection
    from novacron.handles.templates import TemplateCollection
    from novacron.handles.vms import VMCollection
    from novacron.hookspecs.events import Subscription
    from novacron.identity import Identity
    from novacron.jobs import Job
    from novacron.records.diagnosis import Finding
    from novacron.records.events import Event
    from novacron.records.host import Capabilities, CPUBaseline, Expiration, Host, HostStats, Node, Ping


class HostHandle:
    """A connected host: `host.vms`, `host.pools`, `host.networks`, `host.filters`, `host.templates`, `host.images`, `host.devices`.

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
        history: Callable[[], Any] | None = None,
    ) -> None:
        self.dispatcher = dispatcher
        self.engine = engine
        self.history = history
        self.name = dispatcher.host
        self.uri = uri
        self._find = find

    def __repr__(self) -> str:
        return printable_line(f"<Host {self.name} {self.uri}{' closed' if self.closed else ''}>")

    def __dir__(self) -> Iterable[str]:
        return sorted(
            [
                "acting_for",
                "capabilities",
                "close",
                "devices",
                "diagnose",
                "driver_name",
                "events",
                "expirations",
                "filters",
                "images",
                "info",
                "invoke",
                "name",
                "native",
                "networks",
                "nodes",
                "ping",
                "pools",
                "stats",
                "submit",
                "supports",
                "templates",
                "uri",
                "vms",
            ]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @cached_property
    def vms(self) -> VMCollection:
        """The VMs of the host."""
        from novacron.handles.vms import VMCollection

        return VMCollection(self)

    @cached_property
    def pools(self) -> PoolCollection:
        """The storage pools and their volumes."""
        from novacron.handles.pools import PoolCollection

        return PoolCollection(self)

    @cached_property
    def networks(self) -> NetworkCollection:
        """The networks."""
        from novacron.handles.networks import NetworkCollection

        return NetworkCollection(self)

    @cached_property
    def filters(self) -> FilterCollection:
        """The traffic filters."""
        from novacron.handles.filters import FilterCollection

        return FilterCollection(self)

    @cached_property
    def templates(self) -> TemplateCollection:
        """The templates."""
        from novacron.handles.templates import TemplateCollection

        return TemplateCollection(self)

    @cached_property
    def devices(self) -> HostDevices:
        """The PCI and USB devices of the host."""
        from novacron.handles.devices import HostDevices

        return HostDevices(self)

    @cached_property
    def images(self) -> ImageCollection:
        """The operating system images in the host's storage pools."""
        from novacron.handles.images import ImageCollection

        return ImageCollection(self)

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
        """Who requests the operations of this handle."""
        return self.dispatcher.identity

    @property
    def native(self) -> NativeOperations:
        """The operations that this host's product alone has; see `novacron.plugins.native`.

        Example:
            >>> import novacron
            >>> host = novacron.connect("sim://lab")
            >>> dir(host.native), host.supports("vsphere.folder_list")
            ([], False)
        """
        from novacron.handles.native import NativeOperations

        return NativeOperations(self)

    def acting_for(self, actor: str) -> HostHandle:
        """Return a handle on the same connection whose operations are asked for by `actor`.

        Audit lines name the actor, and the identity of this handle as the executor.

        Example:
            >>> import novacron
            >>> host = novacron.connect("sim://lab").acting_for("ann")
            >>> host.submit("vm_create", spec=novacron.VMSpec(name="for-ann")).actor
            'ann'
        """
        return HostHandle(
            self.dispatcher.acting_for(actor), uri=self.uri, engine=self.engine, find=self._find, history=self.history
        )

    def other(self, host: HostHandle | str) -> HostHandle:
        """Return another host: a handle unchanged, or the host of that name in the fleet of the same site.

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
        """Return whether the driver implements an operation, given the name of its hook."""
        return self.dispatcher.supports(operation)

    def invoke(self, operation: str, timeout: float | None = None, **arguments: Any) -> Any:
        """Call any operation by the name of its hook and return the driver's result. All methods of handles use this."""
        return self.dispatcher.invoke(operation, timeout, **arguments)

    def submit(self, operation: str, timeout: float | None = None, **arguments: Any) -> Job[Any]:
        """Start any operation and return its job."""
        return self.dispatcher.submit(operation, timeout, **arguments)

    def info(self) -> Host:
        """Return the driver, the hypervisor with its version, and the size of the host."""
        result: Host = self.invoke("host_info")
        return result

    def stats(self) -> HostStats:
        """Return the resources of the host and their use now."""
        result: HostStats = self.invoke("host_stats")
        return result

    def ping(self) -> Ping:
        """Make one round trip to the host."""
        result: Ping = self.invoke("host_ping")
        return result

    def cpu_baseline(self, others: Sequence[str] = ()) -> CPUBaseline:
        """Return the best CPU that a VM can have on all nodes of this host and of other hosts. For a group: `fleet.cpu_baseline(group)`.

        Args:
            others: the `description` of the baseline of each other host.

        Raises:
            InvalidSpecError: a description is none of this driver's.
            UnsupportedOperationError: the host can't compute it, or the hosts have no CPU model in common.

        Example:
            >>> import novacron
            >>> novacron.connect("sim://lab").cpu_baseline().model
            'sim-3'
        """
        result: CPUBaseline = self.invoke("host_cpu_baseline", others=[*others])
        return result

    def lock_manager(self) -> str:
        """Return what leases the disks of running VMs on this host: "virtlockd", "sanlock" or "none". It is tried, which takes a moment.

        Raises:
            UnsupportedOperationError: the hypervisor has no lock manager that could be tried.

        Example:
            >>> import novacron
            >>> novacron.connect("sim://lab").lock_manager()
            'virtlockd'
        """
        return str(self.invoke("host_lock_manager"))

    def expirations(self) -> list[Expiration]:
        """Return what expires on this host, such as the licences of a vCenter, sorted by name.

        Raises:
            UnsupportedOperationError: the driver knows of nothing that expires.

        Example:
            >>> import novacron
            >>> novacron.connect("sim://lab").expirations()
            []
        """
        result: list[Expiration] = self.invoke("host_expirations")
        return result

    def nodes(self) -> list[Node]:
        """List the physical machines of this host."""
        result: list[Node] = self.invoke("node_list")
        return result

    def capabilities(self) -> Capabilities:
        """Return what VMs the host can run, and which operations its driver implements."""
        operations = tuple(sorted(self.dispatcher.operations))
        if not self.supports("host_capabilities"):
            from novacron.records.host import Capabilities

            return Capabilities(host=self.name, driver=self.driver_name, operations=operations)
        found: Capabilities = self.invoke("host_capabilities")
        result: Capabilities = found.replace(operations=operations)
        return result

    def diagnose(self) -> list[Finding]:
        """Check the connection, the hypervisor, storage pools, networks and memory. `novacron doctor HOST` prints the result.

        Nothing is changed. A check that fails is a finding, no exception.

        Returns:
            One record per check. Warnings and problems have a hint that says how to repair them.

        Example:
            >>> import novacron
            >>> findings = novacron.connect("sim://diagnosed").diagnose()
            >>> {finding.status for finding in findings}
            {'ok'}
        """
        from novacron.handles.diagnosis import diagnose_host

        return diagnose_host(self)

    def events(self, kinds: Iterable[str] | None = None, *, timeout: float | None = None) -> EventStream:
        """Iterate over the host's events from now on. If `timeout` is given, iteration ends after so many seconds without an event."""
        return EventStream(self, frozenset(kinds) if kinds is not None else None, timeout)

    def subscribe(self, callback: Callable[[Event], object]) -> Subscription:
        """Call `callback` with each event until the returned subscription is closed."""
        result: Subscription = self.invoke("event_subscribe", callback=callback)
        return result

    def destination(self) -> Destination:
        """Return this host as the destination of a migration."""
        return Destination(self.name, self.uri, self.dispatcher.driver, self.invoke)

    def close(self) -> None:
        """Close the connection. Running VMs and jobs of the hypervisor continue."""
        self.dispatcher.driver.close()


class EventStream:
    """An iterator over a host's events. It is subscribed when it is created, so it misses no later event. Close it, or use `with`."""

    def __init__(self, host: HostHandle, kinds: frozenset[str] | None, timeout: float | None) -> None:
        if not host.supports("event_subscribe"):
            raise UnsupportedOperationError(f"the driver {host.driver_name!r} has no events", host=host.name)
        self._host = host.name
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._timeout = timeout
        self._kinds = kinds
        self._subscription: Subscription | None = host.subscribe(self._put)

    def __repr__(self) -> str:
        return printable_line(f"<events of {self._host}{' closed' if self._subscription is None else ''}>")

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
        """End the subscription. A waiting `next()` ends."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
            self._queue.put(None)


__all__ = ["EventStream", "HostHandle"]
