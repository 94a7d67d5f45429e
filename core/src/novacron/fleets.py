"""The registered hosts, known by name."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from novacron.dispatch.audit import AuditLog
from novacron.errors import (
    DriverError,
    HostNotFoundError,
    InvalidSpecError,
    NovaCronError,
    OperationTimeoutError,
    SpecProblem,
    either,
)
from novacron.fleet_vms import FleetVMs
from novacron.handles.host import HostHandle
from novacron.identity import Identity
from novacron.macs import MACAddresses
from novacron.plugins.driver import HostURI
from novacron.store.hosts import HostStore, RegisteredHost
from novacron.store.settings import Settings
from novacron.threads import fan_out
from novacron.units import parse_duration

if TYPE_CHECKING:
    from novacron.monitoring.metrics import FleetMetrics
    from novacron.records.nics import MACClash
    from novacron.workflow.run.runs import Runs
    from novacron.workflow.schedules import Schedules

ASKED_AT_ONCE = 32
"""How many hosts are asked at a time."""


class Answer(NamedTuple):
    """What one host of a fleet answered: a value, or the error that came instead."""

    host: str
    value: Any = None
    error: NovaCronError | None = None


class FleetHosts(Mapping[str, HostHandle]):
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


class Fleet:
    """The hosts registered in the state database; `settings` hold for all processes that use it.

    Args:
        hosts: the registered hosts, connected when asked for.
        store: reads and writes the registered hosts.
        settings: the settings.
        macs: remembers the MAC addresses that are seen.
        audit: where changes are recorded.
        identity: who changes it.
        runs: returns the workflow runs.
        schedules: returns the schedules.
        metrics: returns the metrics.
    """

    def __init__(
        self,
        hosts: FleetHosts,
        store: HostStore,
        settings: Settings,
        *,
        macs: MACAddresses,
        audit: AuditLog,
        identity: Identity,
        runs: Callable[[], Runs],
        schedules: Callable[[], Schedules],
        metrics: Callable[[], FleetMetrics],
    ) -> None:
        self.hosts, self.settings = hosts, settings
        self._store, self._macs, self._audit, self._identity = store, macs, audit, identity
        self._runs, self._schedules, self._metrics = runs, schedules, metrics

    @property
    def runs(self) -> Runs:
        """The workflow runs of all processes that share the state database."""
        return self._runs()

    @property
    def schedules(self) -> Schedules:
        """The flows that start by themselves."""
        return self._schedules()

    @property
    def metrics(self) -> FleetMetrics:
        """The metrics of all hosts and VMs, now and in the past."""
        return self._metrics()

    @property
    def vms(self) -> FleetVMs:
        """The VMs of all hosts."""
        return FleetVMs(self)

    def __repr__(self) -> str:
        return f"<Fleet, {len(self.hosts._open)} hosts connected>"

    def list(self) -> list[RegisteredHost]:
        """Return name and URI of every host, sorted by name, as the database has them now."""
        return sorted(self.hosts.registered(fresh=True).values(), key=lambda h: h.name)

    def add(self, name: str, uri: str, *, replace: bool = False) -> RegisteredHost:
        """Register a host. Nothing is contacted.

        Raises:
            InvalidSpecError: not a URI, or one with a password, or a bad name.
            AlreadyExistsError: the name is taken, unless `replace`.
        """
        HostURI.parse(uri)
        with self._recorded("fleet_add", name, {"uri": uri, "replace": replace}):
            host = self._store.add(name, uri, replace=replace)
        self.hosts.forget(name)
        return host

    def remove(self, name: str) -> None:
        """Remove a host from the fleet; its VMs are not touched. Raises HostNotFoundError."""
        with self._recorded("fleet_remove", name, {}):
            self._store.remove(name)
        self.hosts.forget(name)

    def ask(
        self,
        hosts: Iterable[str | HostHandle],
        what: Callable[[HostHandle], Any],
        *,
        timeout: float | str | None = 30.0,
        limit: int = ASKED_AT_ONCE,
    ) -> Sequence[Answer]:
        """Ask many hosts at once.

        Args:
            hosts: names of hosts in the fleet, or connected hosts.
            what: called with each host, in threads.
            timeout: seconds that each host may take, connecting included; None to wait without end.
            limit: how many hosts are asked at a time.

        Returns:
            One answer for each host, in order: its value or its error. A host that does not answer in time has an OperationTimeoutError
            and delays no other host's answer.

        Example:
            >>> import novacron
            >>> hosts = [novacron.connect(f"sim://{name}") for name in ("asked-a", "asked-b")]
            >>> [(answer.host, answer.value.driver) for answer in novacron.fleet().ask(hosts, lambda host: host.info())]
            [('asked-a', 'sim'), ('asked-b', 'sim')]
        """
        if not isinstance(limit, int) or limit < 1:
            raise InvalidSpecError("invalid limit", problems=[SpecProblem("limit", str(limit), "a number of at least 1")])
        asked = list(hosts)
        seconds = None if timeout is None else parse_duration(timeout)

        def work(host: str | HostHandle) -> Any:
            return what(self.hosts[host] if isinstance(host, str) else host)

        futures = fan_out(asked, work, seconds=seconds, limit=limit, name="novacron-ask")
        names = [host if isinstance(host, str) else host.name for host in asked]
        return [_answer(name, future, seconds) for name, future in zip(names, futures, strict=True)]

    def mac_clashes(self, *, timeout: float | str | None = 60.0) -> Sequence[MACClash]:
        """Look at every NIC of every host and return the MAC addresses that more than one has, sorted by address.

        All addresses that are seen are stored, so that none of them is given to a new NIC. Clashes within one host count too.

        Args:
            timeout: seconds that each host may take.

        Raises:
            HostConnectionError, OperationTimeoutError: a host can't be asked; the clash may be there.
        """
        from novacron.records.nics import MACClash

        def look(host: HostHandle) -> Any:
            vms = host.vms.list(detail="full").records
            return [(nic.mac.lower(), f"{host.name}/{vm.name}") for vm in vms for nic in vm.nics or () if nic.mac]

        owners: dict[str, list[str]] = {}
        for answer in self.ask([host.name for host in self.list()], look, timeout=timeout):
            if answer.error is not None:
                raise answer.error
            for mac, vm in answer.value:
                owners.setdefault(mac, []).append(vm)
        self._macs.remember(owners)
        return [MACClash(mac=mac, vms=tuple(sorted(vms))) for mac, vms in sorted(owners.items()) if len(vms) > 1]

    def close(self) -> None:
        """Close all connections."""
        self.hosts.close()

    def _recorded(self, operation: str, name: str, arguments: dict[str, Any]) -> _Recorded:
        return _Recorded(self._audit, operation, self._identity, name, arguments)


class _Recorded:
    """Writes an audit line when the block ends."""

    def __init__(self, audit: AuditLog, operation: str, identity: Identity, name: str, arguments: dict[str, Any]) -> None:
        self._audit, self._operation, self._identity, self._name, self._arguments = audit, operation, identity, name, arguments

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._audit.write(self._operation, self._identity, resource=self._name, arguments=self._arguments, error=error)


def _answer(name: str, future: Any, seconds: float | None) -> Answer:
    if not future.done():
        return Answer(
            name,
            error=OperationTimeoutError(
                f"{name} did not answer within {seconds:g} s", host=name, outcome="unknown", hint="check the host, or wait longer"
            ),
        )
    error = future.exception()
    if error is None:
        return Answer(name, future.result())
    if isinstance(error, NovaCronError):
        error.host = error.host or name
        return Answer(name, error=error)
    if not isinstance(error, Exception):
        raise error
    defect = DriverError(f"asking {name} failed: {type(error).__name__}: {error}", host=name, outcome="unknown")
    defect.__cause__ = error
    return Answer(name, error=defect)


__all__ = ["Answer", "Fleet", "FleetHosts"]
