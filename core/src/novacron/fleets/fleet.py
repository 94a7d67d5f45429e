"""The fleet: the hosts registered in the state database, and what is done to all of them.

Modules of the fleet's parts are imported when a part is first used, so that listing VMs does not load placement, failover and fencing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.fleets.asking import ASKED_AT_ONCE, Answer, ask_all
from novacron.plugins.driver import HostURI

if TYPE_CHECKING:
    from novacron.dispatch.audit import AuditLog
    from novacron.fleets.balancing import BalanceMode
    from novacron.fleets.failover.failovers import Failovers
    from novacron.fleets.fencing.devices import FenceDevices
    from novacron.fleets.fencing.fencer import Fencer
    from novacron.fleets.groups import GroupCollection
    from novacron.fleets.hosts import FleetHosts
    from novacron.fleets.maintenance import Maintenance
    from novacron.fleets.moving import Storage
    from novacron.fleets.nodes import NodeCollection
    from novacron.fleets.placement.placer import Placer
    from novacron.fleets.refresh import Refresh
    from novacron.fleets.rules import QuotaCollection, RuleCollection
    from novacron.fleets.vms import FleetVMs
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.identity import Identity
    from novacron.macs import MACAddresses
    from novacron.monitoring.alerting.alerts import FleetAlerts
    from novacron.monitoring.metrics import FleetMetrics
    from novacron.monitoring.planning import CapacityPlanning
    from novacron.plotting import Plot
    from novacron.records.capacity import Allocation, BalancePlan, CapacityReport, Placement
    from novacron.records.diagnosis import Finding
    from novacron.records.host import CPUBaseline
    from novacron.records.nics import MACClash
    from novacron.specs import VMSpec
    from novacron.store.allocations import AllocationStore
    from novacron.store.database import Database
    from novacron.store.hosts import HostStore, RegisteredHost
    from novacron.store.nodes import NodeStore
    from novacron.store.rules import RuleStore
    from novacron.store.settings import Settings
    from novacron.workflow.run.run import Run
    from novacron.workflow.run.runs import Runs
    from novacron.workflow.schedules import Schedules

MEASURED = "15m"
"""Over which time the CPUs that a VM uses are averaged for balancing."""


class Fleet:
    """The hosts registered in the state database; `settings` hold for all processes that use it.

    Args:
        hosts: the registered hosts, connected when asked for.
        store: reads and writes the registered hosts.
        settings: the settings.
        macs: remembers the MAC addresses that are seen.
        audit: where changes are recorded.
        identity: who changes it.
        nodes: where nodes are stored.
        allocations: where allocations are stored.
        rules: where placement rules and quotas are stored.
        hooks: returns the hooks of the plugins.
        secrets: returns the value of a secret.
        database: returns the state database.
        process: joins the state database and returns the id of this process.
        alive: returns the ids of the live processes of the state database.
        runs: returns the workflow runs.
        schedules: returns the schedules.
        metrics: returns the metrics.
        alerts: returns the alerts.
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
        nodes: NodeStore,
        allocations: AllocationStore,
        rules: RuleStore,
        hooks: Callable[[], Any],
        secrets: Callable[[str], str],
        database: Callable[[], Database],
        process: Callable[[], str],
        alive: Callable[[], Iterable[str]],
        runs: Callable[[], Runs],
        schedules: Callable[[], Schedules],
        metrics: Callable[[], FleetMetrics],
        alerts: Callable[[], FleetAlerts],
    ) -> None:
        self.hosts, self.settings = hosts, settings
        self._store, self._macs, self._audit, self._identity = store, macs, audit, identity
        self._node_store, self._allocations, self._rules, self._alive = nodes, allocations, rules, alive
        self._hooks, self._secrets, self._database, self._process = hooks, secrets, database, process
        self._runs, self._schedules, self._metrics, self._alerts = runs, schedules, metrics, alerts
        self.controls_failover = False

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

    def plot(self, metric: str = "cpu", **options: Any) -> Plot:
        """Return a line chart of a metric of all VMs or hosts; options as in `FleetMetrics.plot`: labels, since, step, show.

        Example:
            >>> import novacron
            >>> novacron.fleet().plot("memory", since="1d").title
            'memory'
        """
        return self.metrics.plot(metric, **options)

    @property
    def alerts(self) -> FleetAlerts:
        """Rules, alerts, silences and notifications."""
        return self._alerts()

    @property
    def planning(self) -> CapacityPlanning:
        """Forecasts of the capacity, recommendations, and the usage by owner, tag and host, from the history of the metrics."""
        from novacron.fleets.orphans import orphaned_volumes
        from novacron.monitoring.planning import CapacityPlanning

        return CapacityPlanning(self.metrics, self._node_store.list, lambda: orphaned_volumes(self))

    @property
    def vms(self) -> FleetVMs:
        """The VMs of all hosts."""
        from novacron.fleets.vms import FleetVMs

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

    @property
    def nodes(self) -> NodeCollection:
        """The nodes of the fleet and their capacity."""
        from novacron.fleets.nodes import NodeCollection

        return NodeCollection(self._node_store, self._refresher, self._recorded)

    @property
    def groups(self) -> GroupCollection:
        """The groups of nodes and their settings."""
        from novacron.fleets.groups import GroupCollection

        return GroupCollection(self._node_store, self._recorded, self._hooks)

    @property
    def rules(self) -> RuleCollection:
        """The placement rules."""
        from novacron.fleets.rules import RuleCollection

        return RuleCollection(self._rules, self._node_store.list, self._allocations.list, self._recorded)

    @property
    def quotas(self) -> QuotaCollection:
        """The quotas of owners and tags."""
        from novacron.fleets.rules import QuotaCollection

        return QuotaCollection(self._rules, self._recorded)

    @property
    def fencing(self) -> FenceDevices:
        """The fence devices, which switch nodes off."""
        from novacron.fleets.fencing.agents import FenceAgents
        from novacron.fleets.fencing.devices import FenceDevices
        from novacron.store.fencing import FenceStore

        agents = FenceAgents(self._hooks)
        return FenceDevices(self.nodes, FenceStore(self._database), agents, self._fencer, self._recorded)

    @property
    def failover(self) -> Failovers:
        """Failover: VMs of a node that fails are restarted on other nodes."""
        from novacron.fleets.failover.controller import TASK
        from novacron.fleets.failover.failovers import Failovers
        from novacron.store.failovers import FailoverStore
        from novacron.store.fencing import FenceStore
        from novacron.store.leases import LeaseStore

        return Failovers(
            self,
            self.nodes,
            self.groups,
            self._node_store,
            FailoverStore(self._database),
            FenceStore(self._database),
            self._allocations,
            self._fencer,
            self.placer,
            lambda: LeaseStore(self._database()).take(TASK, self._process()),
            self._identity.actor,
            self._recorded,
            self._secrets,
        )

    def place(
        self, spec: VMSpec | None = None, *, group: str | None = None, labels: Mapping[str, str] | None = None, **fields: Any
    ) -> Placement:
        """Return where a VM fits now, and why it does not fit on the other nodes. Nothing is created or claimed.

        Args:
            spec: the VM, or fields of `VMSpec` instead.
            group: only the nodes of this group; None for all groups.
            labels: only nodes with these labels.

        Raises:
            NotFoundError: no node belongs to the group.
            InvalidSpecError: the spec is invalid, or no node has such a label.

        Example:
            >>> import novacron
            >>> fleet = novacron.fleet()
            >>> _ = fleet.add("place-a", "sim://place-a")
            >>> _ = fleet.nodes.refresh(["place-a"])
            >>> _ = fleet.nodes.set("place-a", group="placing")
            >>> [candidate.host for candidate in fleet.place(name="web1", vcpus=2, group="placing").candidates]
            ['place-a']
            >>> fleet.remove("place-a")
        """
        return self.placer().place(_spec(spec, fields), group, labels or {})

    def destinations(self, vm: VMHandle, *, group: str | None = None, labels: Mapping[str, str] | None = None) -> Placement:
        """Return to which nodes a VM could move, by capacity and rules, and why not to the others.

        Args:
            vm: the VM.
            group: only the nodes of this group; None for all groups.
            labels: only nodes with these labels.
        """
        return self.placer().destinations(vm, group, labels or {})

    def create(
        self, spec: VMSpec | None = None, *, group: str | None = None, labels: Mapping[str, str] | None = None, **fields: Any
    ) -> VMHandle:
        """Create a VM on the best node. If that fails for lack of room, or of a network, pool or image, the next candidates are tried.

        Arguments as `place`.

        Raises:
            ResourceAllocationError: no node can take it; the error has reasons.
            NovaCronError: as `host.vms.create`.
        """
        return self.placer().create(_spec(spec, fields), group, labels or {}, lambda host, placed: host.vms.create(placed))

    def placer(self) -> Placer:
        """Return what decides where VMs go."""
        from novacron.fleets.placement.placer import Placer

        return Placer(self, self._node_store, self._allocations, self._rules, self._hooks, self._identity.actor)

    @property
    def maintenance(self) -> Maintenance:
        """Maintenance of nodes: empties them, and moves the VMs back afterwards."""
        from novacron.fleets.maintenance import Maintenance

        return Maintenance(
            self, self.nodes, self._node_store, self.placer, self._recorded, self._runs, self._database, self._process
        )

    def balance(
        self,
        group: str,
        *,
        mode: BalanceMode = "manual",
        storage: Storage = "shared",
        follow: Callable[[Run], object] | None = None,
    ) -> BalancePlan:
        """Balance a group: plan migrations that lower its imbalance, and carry them out if the mode says so.

        Args:
            group: the group's name.
            mode: "manual" only plans, "partial" carries out the first move, "full" all of them.
            storage: "shared" expects the disks on both hosts, "copy" copies them.
            follow: called with the run of the migrations; afterwards its end is waited for.

        Raises:
            NotFoundError: no node belongs to the group.
            InvalidSpecError, InvalidStateError: the mode is unknown; something else balances the nodes, such as vSphere's DRS.
        """
        from novacron.fleets.balancing import Balancer
        from novacron.store.imbalances import ImbalanceStore

        if mode not in ("manual", "partial", "full"):
            raise InvalidSpecError("unknown mode", problems=[SpecProblem("mode", str(mode), "manual, partial or full")])
        imbalances = ImbalanceStore(self._database)
        balancer = Balancer(
            self, self._node_store, self._allocations, self.placer, imbalances, self._recorded, self._vm_cpus, self._hooks
        )
        if mode == "manual":
            return balancer.plan(group, storage=storage)
        return balancer.once(group, limit=1 if mode == "partial" else None, storage=storage, follow=follow)

    def _vm_cpus(self) -> dict[str, float]:
        """Return how many CPUs each VM used lately, by UUID, as far as metrics are collected."""
        found = self.metrics.query("novacron_vm_cpu_seconds_total", since=MEASURED, limit=1_000_000)
        return {one.labels["vm"]: sum(value for _, value in one.points) / len(one) for one in found if len(one)}

    def cpu_baseline(self, group: str, *, timeout: float | str | None = 30.0) -> CPUBaseline:
        """Return the best CPU that a VM can have on all nodes of a group, so that it can migrate to each of them.

        Args:
            group: the group's name.
            timeout: seconds that each host may take.

        Raises:
            NotFoundError: no node belongs to the group.
            InvalidSpecError: the hosts have different drivers.
            UnsupportedOperationError: the hosts have no CPU model in common, or can't compute it.

        Example:
            >>> import novacron
            >>> fleet = novacron.fleet()
            >>> _ = fleet.add("cpu-a", "sim://cpu-a"), fleet.nodes.refresh(["cpu-a"]), fleet.nodes.set("cpu-a", group="cpus")
            >>> fleet.cpu_baseline("cpus").model, fleet.remove("cpu-a")
            ('sim-3', None)
        """
        from novacron.fleets.cpu_baseline import baseline_of

        return baseline_of(self, group, [node for node in self.nodes if node.group == group], timeout)

    def report(self, *, refresh: bool = True, timeout: float | str | None = 30.0) -> CapacityReport:
        """Return the capacity of all groups and nodes.

        Args:
            refresh: read the hypervisors first. False reports what is stored.
            timeout: seconds that each host may take.
        """
        from novacron.fleets.reports import failures_in, report_of

        if refresh:
            self.nodes.refresh(timeout=timeout)
        return report_of(
            self.nodes.list(),
            lambda group, nodes: failures_in(self._node_store, self.placer(), group, nodes),
            self.failover.protection(refresh=False),
        )

    def allocations(self, node: str | None = None) -> Sequence[Allocation]:
        """Return what is allocated to VMs, sorted by the VM's name.

        Args:
            node: name or UUID of a node; None for all nodes.
        """
        return self._allocations.list(None if node is None else self.nodes[node].id)

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
        return ask_all(self.hosts.__getitem__, hosts, what, timeout, limit)

    def diagnose(self, *, timeout: float | str | None = 60.0) -> Sequence[Finding]:
        """Check all hosts; see `host.diagnose()`. A host that can't be reached is a finding that says why.

        Args:
            timeout: seconds that each host may take.

        Returns:
            One record per check, host by host in the order of their names.

        Example:
            >>> import novacron
            >>> fleet = novacron.fleet()
            >>> _ = fleet.add("diagnosed-a", "sim://diagnosed-a")
            >>> {finding.status for finding in fleet.diagnose() if finding.subject == "diagnosed-a"}
            {'ok'}
            >>> fleet.remove("diagnosed-a")
        """
        from novacron.fleets.diagnosis import diagnose_fleet

        return diagnose_fleet(self, timeout=timeout)

    def mac_clashes(self, *, timeout: float | str | None = 60.0) -> Sequence[MACClash]:
        """Look at every NIC of every host and return the MAC addresses that more than one has, sorted by address.

        All addresses that are seen are stored, so that none of them is given to a new NIC. Clashes within one host count too. A machine
        that is registered under two names is counted once.

        Args:
            timeout: seconds that each host may take.

        Raises:
            HostConnectionError, OperationTimeoutError: a host can't be asked; the clash may be there.
        """
        from novacron.fleets.mac_clashes import mac_clashes

        return mac_clashes(self, self._macs, timeout)

    def close(self) -> None:
        """Close all connections."""
        self.hosts.close()

    def _fencer(self) -> Fencer:
        from novacron.fleets.fencing.agents import FenceAgents
        from novacron.fleets.fencing.fencer import Fencer

        return Fencer(FenceAgents(self._hooks), self._secrets, self.hosts)

    def _refresher(self) -> Refresh:
        from novacron.fleets.reconciling import Reconciler
        from novacron.fleets.refresh import Refresh

        return Refresh(self, self._node_store, Reconciler(self._allocations, self._alive))

    def _recorded(self, operation: str, name: str, arguments: dict[str, Any]) -> AbstractContextManager[None]:
        return self._audit.recording(operation, self._identity, name, **arguments)


def _spec(spec: VMSpec | None, fields: dict[str, Any]) -> VMSpec:
    from novacron.specs import VMSpec

    return VMSpec.parse(spec if spec is not None and not fields else {**(spec.as_dict() if spec else {}), **fields})


__all__ = ["Fleet"]
