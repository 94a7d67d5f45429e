"""Metrics that take many calls: snapshots, checkpoints and guest agents of VMs, what expires, and workflow runs. A thread reads them now
and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from typing import Any

from novacron.errors import NovaCronError
from novacron.monitoring import builtin
from novacron.monitoring.certificates import expiry_of_host
from novacron.monitoring.collector import AskedFleet
from novacron.monitoring.pending import PendingCalls
from novacron.monitoring.tokens import token_expiry
from novacron.records.series import MetricDefinition, Sample
from novacron.records.snapshots import Checkpoint, Snapshot
from novacron.records.vm import VM
from novacron.specs.query import VMQuery
from novacron.threads import fan_out, in_thread

EVERY = 900.0
"""Seconds between two inspections."""
PER_HOST = 120.0
"""Seconds that one host may take."""
REFRESHED_POOLS = frozenset({"dir", "fs", "netfs", "gluster", "rbd", "zfs"})
"""The types of libvirt's storage pools whose volumes grow when guests write to them."""
AT_ONCE = 16
"""How many hosts are asked at a time."""


class Inspection:
    """A source of metrics that reads slowly and answers at once with what it read last.

    A host that hangs is not asked again before its former call has ended, so that it takes one thread. What is known of a host that does
    not answer stays as it is.

    Args:
        fleet: the hosts.
        runs: returns the workflow runs.
        agents: returns the ids of the VMs whose guest agent was connected in the time before this process began.
        every: seconds between two inspections.
        tokens: returns the tokens that NovaCron sends: what looks up the value, by the name of its secret.
    """

    name = "inspection"

    def __init__(
        self,
        fleet: AskedFleet,
        runs: Callable[[], Any],
        agents: Callable[[], Iterable[str]] = tuple,
        every: float = EVERY,
        tokens: Callable[[], Mapping[str, Callable[[], str]]] = dict,
    ) -> None:
        self._fleet, self._runs, self._every = fleet, runs, every
        self._known_agents, self._tokens = agents, tokens
        self._agents: set[str] = set()
        self._asked_agents = False
        self._found: list[Sample] = []
        self._of_hosts: dict[str, list[Sample]] = {}
        self._next = 0.0
        self._under_way: Future[None] | None = None
        self._pending = PendingCalls()

    def definitions(self) -> Sequence[MetricDefinition]:
        """Return nothing: the metrics are built-in ones."""
        return ()

    def collect(self) -> Sequence[Sample]:
        """Return the runs as they are now, and the rest as it was read last."""
        if time.monotonic() >= self._next and (self._under_way is None or self._under_way.done()):
            self._next = time.monotonic() + self._every
            self._under_way = in_thread(self.refresh, "novacron-inspection")
        return [*self._found, *self._run_samples()]

    def refresh(self, timeout: float = PER_HOST) -> None:
        """Read snapshots, checkpoints, guest agents, and what expires, now.

        Args:
            timeout: seconds to wait for one host. A host with many VMs behind a slow link may take longer: its answer counts the next
                time.
        """
        if not self._asked_agents:
            self._agents |= set(self._known_agents())
            self._asked_agents = True
        asked, _ = self._pending.apart(host.name for host in self._fleet.list())
        self._fleet.ask(asked, self._inspect, timeout=timeout, limit=AT_ONCE)
        hosts = {host.name for host in self._fleet.list()}
        for name in [*self._of_hosts]:  # a copy: threads that are late add to it
            if name not in hosts:
                del self._of_hosts[name]
        found = [sample for name in hosts for sample in self._of_hosts.get(name, ())]
        self._found = [*self._without_unused_agents(found), *self._certificates(timeout), *self._token_samples()]

    def _inspect(self, host: Any) -> None:
        with self._pending.call(host.name):
            _refresh_pools(host)
            found = [sample for vm in host.invoke("vm_list", query=VMQuery(detail="full")) for sample in _of_vm(host, vm)]
            self._of_hosts[host.name] = [*found, *_licenses(host)]

    def _without_unused_agents(self, samples: Iterable[Sample]) -> list[Sample]:
        """Leave out guest agents that were never connected: the guest has none, and nobody misses it."""
        found = []
        for sample in samples:
            if sample.metric == builtin.SLOW["agent"].name:
                if sample.value:
                    self._agents.add(sample.labels["vm"])
                elif sample.labels["vm"] not in self._agents:
                    continue
            found.append(sample)
        return found

    def _run_samples(self) -> list[Sample]:
        found = []
        try:
            records = self._runs().list(limit=200)
        except NovaCronError:
            return []
        for run in records:
            if run.status == "failed":
                found.append(Sample(metric=builtin.OWN["run_needs_person"].name, value=1.0, labels={"run": run.id}))
            elif run.ended_at is None:
                age = max(0.0, time.time() - run.created_at)
                found.append(Sample(metric=builtin.OWN["run_age"].name, value=age, labels={"run": run.id}))
        return found

    def _token_samples(self) -> list[Sample]:
        found = []
        for name, value in self._tokens().items():
            with suppress(NovaCronError):  # there is no such secret; the sink says so
                expiry = token_expiry(value())
                if expiry is not None:
                    found.append(Sample(metric=builtin.OWN["token"].name, value=expiry, labels={"token": name}))
        return found

    def _certificates(self, timeout: float) -> list[Sample]:
        hosts = {f"certificate of {host.name}": host for host in self._fleet.list()}
        asked, _ = self._pending.apart(hosts)

        def expiry(place: str) -> float | None:
            with self._pending.call(place):
                return expiry_of_host(hosts[place].uri)

        answers = fan_out(asked, expiry, seconds=timeout, limit=AT_ONCE, name="novacron-certificate")
        found = []
        for place, answer in zip(asked, answers, strict=True):
            known = answer.result() if answer.done() and answer.exception() is None else None
            if known is not None:
                found.append(Sample(metric=builtin.OWN["certificate"].name, value=known, labels={"host": hosts[place].name}))
        return found


def _refresh_pools(host: Any) -> None:
    """Let the host look at its storage pools again. libvirt does not notice that thin disks grow, and reports the free space of before."""
    if not host.supports("pool_refresh"):
        return
    for pool in host.invoke("pool_list"):
        if pool.active and pool.type in REFRESHED_POOLS:
            with suppress(NovaCronError):  # it is busy, or was deleted meanwhile
                host.invoke("pool_refresh", pool=pool.name)


def _licenses(host: Any) -> list[Sample]:
    if not host.supports("host_expirations"):
        return []
    metric = builtin.OWN["license"].name
    return [
        Sample(metric=metric, value=_seconds(one.expires_at), labels={"host": host.name, "license": one.name})
        for one in host.invoke("host_expirations")
        if one.kind == "license"
    ]


def _of_vm(host: Any, vm: VM) -> list[Sample]:
    values: dict[str, float] = {}
    if vm.agent_connected is not None:
        values["agent"] = float(vm.agent_connected)
    try:
        snapshots: list[Snapshot] = host.invoke("snapshot_list", vm=vm.id)
    except NovaCronError:
        snapshots = []
    else:
        values |= {"snapshots": float(len(snapshots)), "chain": float(chain_length(snapshots))}
    if snapshots:
        values["oldest"] = min(_seconds(one.created_at) for one in snapshots)
    values |= _checkpoint_values(host, vm)
    labels = {"vm": vm.id, "name": vm.name}
    metrics = builtin.SLOW | builtin.BACKUP
    return [Sample(metric=metrics[field].name, value=value, labels=labels) for field, value in values.items()]


def _checkpoint_values(host: Any, vm: VM) -> dict[str, float]:
    """Return nothing for a VM without checkpoints: no program makes incremental backups of it."""
    if not host.supports("checkpoint_list"):
        return {}
    try:
        checkpoints: list[Checkpoint] = host.invoke("checkpoint_list", vm=vm.id)
    except NovaCronError:
        return {}
    if not checkpoints:
        return {}
    values = {"newest": max(_seconds(one.created_at) for one in checkpoints)}
    known = [one.broken for one in checkpoints if one.broken is not None]
    return values | ({"broken": float(sum(known))} if known else {})


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def chain_length(snapshots: Sequence[Snapshot]) -> int:
    """Return the length of the longest chain of external snapshots: each of them adds a file to the backing chain of the disks.

    Example:
        >>> common = {"vm": "1", "host": "a", "created_at": "", "status": "running", "kind": "external"}
        >>> chain_length([Snapshot(name="a", **common), Snapshot(name="b", parent="a", **common)])
        2
    """
    parents = {one.id or one.name: (one.parent_id or one.parent, one.kind) for one in snapshots}
    longest = 0
    for start in parents:
        length, place, seen = 0, start, set()
        while place in parents and place not in seen:
            seen.add(place)
            parent, kind = parents[place]
            length += kind == "external"
            place = parent or ""
        longest = max(longest, length)
    return longest


__all__ = ["Inspection", "chain_length"]
