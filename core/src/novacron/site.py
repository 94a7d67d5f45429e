"""The site: the one object that owns what a process needs of NovaCron.

It owns the state directory, the state database, plugins, drivers, locks, the audit log, secrets, MAC addresses and the fleet. Two sites in
one process share nothing. `novacron.connect()` and `novacron.fleet()` use the default site.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from novacron.connecting import check_options, check_parameters, embedded_uri, open_driver, parsed
from novacron.dispatch.audit import AuditLog
from novacron.dispatch.dispatcher import Dispatcher
from novacron.dispatch.fields import FieldPolicy
from novacron.dispatch.filelocks import FileLocks
from novacron.dispatch.locks import LockPolicy
from novacron.errors import AccessDeniedError, HostConnectionError, InvalidStateError, NovaCronError, UnsupportedOperationError
from novacron.fleets.claim_stage import ClaimStage
from novacron.handles.host import HostHandle
from novacron.identity import Identity
from novacron.macs import MACAddresses
from novacron.peers import Peers
from novacron.plugins.discovery import DriverRegistry
from novacron.plugins.driver import ConnectContext, DriverProvider
from novacron.secrets import Secrets
from novacron.state import StateDirectory
from novacron.store.activity import Activity, read_activity
from novacron.store.advisory_locks import AdvisoryLocks
from novacron.store.location import database_url
from novacron.store.managed import ManagedNodes
from novacron.store.quick import is_private, sqlite_file

if TYPE_CHECKING:
    from novacron.fleets import Fleet
    from novacron.fleets.claims import ClaimPolicy, Invoke
    from novacron.monitoring.alerting.actions import AlertActions
    from novacron.monitoring.alerting.alerts import FleetAlerts
    from novacron.monitoring.metrics import FleetMetrics
    from novacron.plugins.application import ApplicationPlugins
    from novacron.records.diagnosis import Finding
    from novacron.store.database import Database
    from novacron.store.macs import MACStore
    from novacron.workflow.composition import Workflow
    from novacron.workflow.flows import Flows
    from novacron.workflow.kinds.registry import StepKinds
    from novacron.workflow.run.durable import DurableEngine
    from novacron.workflow.run.runs import Runs
    from novacron.workflow.schedules import Schedules

T = TypeVar("T")
OTHER_HOST = "add another host: `novacron host add kvm1 qemu+ssh://root@kvm1/system`; `-c sim://lab` is a simulated one"
"""The end of the hint when no host was named and none is on this machine."""


class Site:
    """Everything that belongs together: who asks, where state is kept, which plugins and drivers there are, and the fleet.

    Its parts are made when they are first used. Close it, or use `with`: afterwards no thread, connection or file of it is left.

    Args:
        state: the state directory; `$NOVACRON_STATE` or the user's state directory when None.
        database: URL of the state database; `$NOVACRON_DATABASE` or SQLite in the state directory when None.
        actor: who asks for operations; the user of the process when None.

    Example:
        >>> import tempfile
        >>> from novacron import VMSpec
        >>> with tempfile.TemporaryDirectory() as folder, Site(folder, actor="ann") as site:
        ...     host = site.connect("sim://site-example")
        ...     job = host.submit("vm_create", spec=VMSpec(name="web1"))
        ...     job.result().name, job.actor
        ('web1', 'ann')
    """

    def __init__(self, state: str | Path | None = None, database: str | None = None, actor: str | None = None) -> None:
        self.state = StateDirectory(state)
        self.identity = Identity(actor) if actor is not None else Identity.of_process()
        self.locks = LockPolicy(FileLocks(self.state), AdvisoryLocks(self._url, lambda: self.database))
        self.audit = AuditLog(self.state)
        self.drivers = DriverRegistry(lambda: self.plugins.drivers())
        self.secrets = Secrets(self._secret_backends)
        self.macs = MACAddresses(self._mac_store)
        self.peers = Peers(lambda: self.fleet)
        self.closed = False
        self._managed = ManagedNodes(self._url, lambda: self.database)
        self._database_url = database
        self._parts: dict[str, Any] = {}
        self._guard = threading.RLock()
        self._connections: weakref.WeakSet[HostHandle] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<Site {self.state.path} {self.identity.actor}{' closed' if self.closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def database(self) -> Database:
        """The state database. It is opened by the first transaction."""
        return self._once("database", self._make_database)

    @property
    def plugins(self) -> ApplicationPlugins:
        """The application plugins, loaded at the first use."""
        return self._once("plugins", self._make_plugins)

    @property
    def fleet(self) -> Fleet:
        """The registered hosts."""
        return self._once("fleet", self._make_fleet)

    @property
    def engine(self) -> DurableEngine:
        """What runs workflows, so that runs survive the process. Nothing is opened before the first run."""
        return self._once("engine", self._make_engine)

    @property
    def step_kinds(self) -> StepKinds:
        """The step kinds of workflows: built-in ones, those of plugins, and registered ones."""
        return self._once("step_kinds", self._make_step_kinds)

    @property
    def flows(self) -> Flows:
        """The flows with names: built-in ones, those of plugins, and registered ones."""
        return self._once("flows", self._make_flows)

    def activity(self) -> Activity:
        """Count the workflow runs that have not ended and the alerts that fire: cheap enough for a status line.

        Returns:
            Both numbers, read now from the state database.

        Raises:
            StorageError: the database can't be read.

        Example:
            >>> import novacron
            >>> novacron.site.default_site().activity().alerts
            0
        """
        file = sqlite_file(self._url())
        if file is not None and is_private(file):
            return read_activity(file)
        return Activity(len(self.fleet.runs.list(unfinished=True, limit=None)), len(self.fleet.alerts.list("firing")))

    def diagnose(self) -> list[Finding]:
        """Check this machine: the state directory and its permissions, the drivers, and the program and keys of SSH.

        Example:
            >>> from novacron.site import default_site
            >>> [finding.subject for finding in default_site().diagnose() if finding.check == "driver" and finding.subject == "sim"]
            ['sim']
        """
        from novacron.fleets.diagnosis import diagnose_machine

        return diagnose_machine(self.state, self.drivers)

    def connect(
        self,
        uri: str | None = None,
        *,
        name: str | None = None,
        timeout: float = 30.0,
        policies: list[Any] | None = None,
        **options: Any,
    ) -> HostHandle:
        """Connect to a host.

        Args:
            uri: where it is: `qemu:///system`, `qemu+ssh://root@kvm1/system`, `vsphere://user@vc`, `sim://lab`. None takes the local
                libvirt daemon, or libvirt's embedded QEMU driver if there is no daemon.
            name: what to call it in records and errors; the URI's host, or "local", when None.
            timeout: seconds that connecting may take.
            policies: further policies around every operation.
            options: further options of the driver's own.

        Raises:
            InvalidSpecError: not a URI.
            UnsupportedOperationError: no driver for its scheme; the hint names the pip command for known ones.
            HostConnectionError, AuthenticationError, OperationTimeoutError

        Example:
            >>> import novacron
            >>> novacron.connect("sim://lab").info().driver
            'sim'
        """
        if uri is None:
            return self._connect_here(name=name, timeout=timeout, policies=policies, **options)
        try:
            return self._connect(uri, name, timeout, policies or [], options)
        except NovaCronError as error:
            self.audit.write("host_connect", self.identity, host=name or error.host, error=error)
            raise

    def close(self) -> None:
        """Close all connections, stop plugins and the workflow engine, and close the database. A second call does nothing."""
        with self._guard:
            if self.closed:
                return
            self.closed = True
            parts, self._parts = self._parts, {}
        if (fleet := parts.get("fleet")) is not None:
            fleet.close()
        for host in list(self._connections):
            host.close()
        for name in ("engine", "plugins", "database"):
            if (part := parts.get(name)) is not None:
                part.close()

    def _check_open(self) -> None:
        """Raises InvalidStateError."""
        if self.closed:
            raise InvalidStateError("the site is closed", outcome="not_sent", hint="make another Site")

    def _once(self, name: str, make: Callable[[], T]) -> T:
        part = self._parts.get(name)
        if part is None:
            with self._guard:
                self._check_open()
                part = self._parts.get(name)
                if part is None:
                    part = self._parts[name] = make()
        return cast(T, part)

    def _url(self) -> str:
        self._check_open()
        return database_url(self._database_url, self.state)

    def _make_database(self) -> Database:
        from novacron.store.database import Database

        return Database(self._database_url, self.state, self.secrets.find)

    def _mac_store(self) -> MACStore:
        from novacron.store.macs import MACStore

        return MACStore(self.database)

    def _make_plugins(self) -> ApplicationPlugins:
        from novacron.plugins.application import ApplicationPlugins

        plugins = ApplicationPlugins(self.state, self.drivers)
        plugins.load_entry_points()
        plugins.load_listed()
        return plugins

    def _make_fleet(self) -> Fleet:
        from novacron.fleets.fleet import Fleet
        from novacron.fleets.hosts import FleetHosts
        from novacron.store.allocations import AllocationStore
        from novacron.store.hosts import HostStore
        from novacron.store.nodes import NodeStore
        from novacron.store.rules import RuleStore
        from novacron.store.settings import Settings

        store = HostStore(lambda: self.database, self._url)
        return Fleet(
            FleetHosts(store, self.connect),
            store,
            Settings(lambda: self.database),
            macs=self.macs,
            audit=self.audit,
            identity=self.identity,
            nodes=NodeStore(lambda: self.database, self.locks.exclusive),
            allocations=AllocationStore(lambda: self.database),
            rules=RuleStore(lambda: self.database),
            hooks=lambda: self.plugins.hook,
            secrets=self.secrets.get,
            database=lambda: self.database,
            process=lambda: self.engine.join("failover").id,
            alive=self._alive,
            runs=self._runs,
            schedules=self._schedules,
            metrics=self._metrics,
            alerts=self._alerts,
        )

    def _make_step_kinds(self) -> StepKinds:
        from novacron.workflow.kinds.registry import StepKinds

        return StepKinds(self._offered_steps)

    def _make_flows(self) -> Flows:
        from novacron.workflow.flows import Flows

        return Flows(self._offered_steps)

    def _offered_steps(self) -> list[object]:
        return [step for steps in self.plugins.hook.register_steps() for step in steps]

    def _read_flow(self, stored: Any) -> Workflow:
        from novacron.workflow.files import read_flow

        return read_flow(stored, self.step_kinds, self.flows)

    def _make_engine(self) -> DurableEngine:
        from novacron.workflow.hosts import FleetResolver
        from novacron.workflow.run.durable import DurableEngine

        resolver = FleetResolver(lambda: self.fleet, self.connect)
        return DurableEngine(self.database, identity=self.identity, resolver=resolver, audit=self.audit, read=self._read_flow)

    def _runs(self) -> Runs:
        from novacron.workflow.run.runs import Runs

        return Runs(self.engine)

    def _alive(self) -> list[str]:
        from novacron.store.processes import ProcessStore

        return [process.id for process in ProcessStore(self.database).list() if process.alive]

    def _schedules(self) -> Schedules:
        from novacron.workflow.schedules import Schedules

        return Schedules(self.engine)

    def _metrics(self) -> FleetMetrics:
        return self._once("metrics", self._make_metrics)

    def _alerts(self) -> FleetAlerts:
        return self._once("alerts", self._make_alerts)

    def _make_alerts(self) -> FleetAlerts:
        from novacron.monitoring.alerting.alerts import FleetAlerts

        return FleetAlerts(
            self._metrics(),
            lambda: self.database,
            self.state.path,
            self.secrets.get,
            lambda: self.plugins.hook,
            self.identity.actor,
            self._alert_actions,
            lambda operation, resource, **arguments: self.audit.recording(operation, self.identity, resource, **arguments),
        )

    def _alert_actions(self, alerts: FleetAlerts) -> AlertActions:
        from novacron.monitoring.alerting.actions import AlertActions

        return AlertActions(
            lambda: self.engine,
            lambda: self.flows,
            lambda: self.fleet,
            lambda: {one.fingerprint: one for one in alerts.list("firing")},
            self.audit,
        )

    def _make_metrics(self) -> FleetMetrics:
        from novacron.monitoring.metrics import FleetMetrics

        return FleetMetrics(
            self.fleet,
            lambda: self.database,
            lambda role: self.engine.join(role),
            lambda: self.plugins.hook,
            self.fleet.settings,
            self._runs,
            lambda: {name: partial(self.secrets.get, name) for name in self._alerts().configuration().tokens()},
        )

    def _secret_backends(self) -> list[Callable[[str], str | None]]:
        return [backend for backends in self.plugins.hook.secret_backends() for backend in backends]

    def _connect(self, uri: str, name: str | None, timeout: float, policies: list[Any], options: dict[str, Any]) -> HostHandle:
        self._check_open()
        place = parsed(uri, timeout)
        provider = self.drivers.provider_for(place.scheme)
        check_options(provider, options)
        check_parameters(provider, place)
        called = name or place.host or "local"
        ask_peers = partial(self.peers.ask, called, provider.schemes)
        claims = ClaimStage(self._managed, self._claims)
        shared_pools = partial(self.peers.shared_pools, called)
        context = ConnectContext(
            called, timeout, options, self.secrets, self.macs, self.state, ask_peers, shared_pools, self.locks.exclusive
        )
        driver = open_driver(provider, place, context)
        try:
            dispatcher = Dispatcher(
                context.name,
                provider.name,
                driver,
                [*_field_policies(provider), claims, *self._policies(), *policies],
                identity=self.identity,
                audit=self.audit,
                locks=self.locks,
                checked=self.drivers.checked,
            )
        except BaseException:
            driver.close()
            raise
        claims.attach(dispatcher.invoke)
        handle = HostHandle(
            dispatcher, uri=uri, engine=lambda: self.engine, find=lambda name: self.fleet.hosts.open(name), history=self._metrics
        )
        self._connections.add(handle)
        return handle

    def _connect_here(self, **options: Any) -> HostHandle:
        """Connect to libvirt on this machine: to its daemon, or without a daemon to its embedded driver."""
        try:
            return self.connect("qemu:///system", **options)
        except AccessDeniedError as error:
            raise AccessDeniedError(
                "no host was named, and this user may not use libvirt on this machine",
                host=error.host,
                operation="connect",
                outcome="not_sent",
                hint=f"be root or in the group libvirt, or {OTHER_HOST}",
            ) from error
        except HostConnectionError:
            try:
                return self.connect(embedded_uri(self.state.create()), **options)
            except (HostConnectionError, UnsupportedOperationError) as error:
                raise HostConnectionError(
                    "no host was named, and libvirt does not run on this machine",
                    host=error.host,
                    operation="connect",
                    outcome="not_sent",
                    hint=f"start libvirtd, or {OTHER_HOST}",
                ) from error

    def _claims(self, invoke: Invoke) -> ClaimPolicy:
        from novacron.fleets.claims import ClaimPolicy
        from novacron.store.allocations import AllocationStore
        from novacron.store.nodes import NodeStore, node_id

        nodes, allocations = NodeStore(lambda: self.database), AllocationStore(lambda: self.database)

        def reconcile(host: str, invoke: Invoke) -> None:
            from novacron.fleets.reconciling import Reconciler

            reconciler = Reconciler(allocations, self._alive)
            stored = {node.id: node for node in nodes.list()}
            known = (node_id(node, host) for node in invoke("node_list"))
            found = [stored[identity] for identity in known if identity in stored]
            reconciler.correct(invoke, found)

        return ClaimPolicy(invoke, nodes, allocations, lambda: self.engine.join().id, reconcile)

    def _policies(self) -> list[Any]:
        return [policy for policies in self.plugins.hook.register_policies() for policy in policies]


def _field_policies(provider: DriverProvider) -> list[Any]:
    if provider.fields is None:
        return []
    return [FieldPolicy(provider.name, provider.fields(), provider.reasons())]


class _Default:
    """Holds the default site of the process, made when it is first used."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._site: Site | None = None

    def get(self) -> Site:
        with self._guard:
            if self._site is None or self._site.closed:
                self._site = Site()
            return self._site


_default = _Default()


def default_site() -> Site:
    """Return the site that `novacron.connect()` and `novacron.fleet()` use. If it was closed, a new one is made."""
    return _default.get()


def connect(
    uri: str | None = None,
    *,
    name: str | None = None,
    timeout: float = 30.0,
    policies: list[Any] | None = None,
    **options: Any,
) -> HostHandle:
    """Connect to a host with the default site: see `Site.connect`."""
    return default_site().connect(uri, name=name, timeout=timeout, policies=policies, **options)


def fleet() -> Fleet:
    """Return the fleet of the default site."""
    return default_site().fleet


__all__ = ["Site", "connect", "default_site", "fleet"]
