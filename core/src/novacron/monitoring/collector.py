"""Collects the metrics of all hosts, once in each interval, in one process for all."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from novacron.errors import BusyError, StorageError
from novacron.monitoring.corrections import Correction
from novacron.monitoring.counters import CounterTracker
from novacron.monitoring.database_calls import DatabaseCalls
from novacron.monitoring.layouts import Layouts, Measured, Round
from novacron.monitoring.measuring import measure_host, silent_host
from novacron.monitoring.pending import PendingCalls
from novacron.monitoring.sources import measured_source, source_state
from novacron.monitoring.storage import MetricStorage
from novacron.threads import fan_out
from novacron.units import format_duration

if TYPE_CHECKING:
    from novacron.hookspecs.application import MetricExporter, MetricSource
    from novacron.store.leases import Lease

BACKLOG = 60
"""How many rounds are kept in memory while the database can't be used."""
FUTURE = 600.0
"""By how many seconds the times of rounds may be ahead of the clock before it is said."""
JUMP = 600.0
"""By how many seconds the clock must go ahead at once to count as set, or this machine as suspended."""
AT_ONCE = 64
"""How many hosts are asked at a time."""


class AskedFleet(Protocol):
    """What of a fleet the collector needs."""

    def list(self) -> Any: ...
    def ask(self, hosts: Iterable[Any], what: Callable[[Any], Any], *, timeout: Any, limit: int) -> Sequence[Any]: ...


class Collector:
    """Measures all hosts and sources and stores what they say.

    A host that does not answer within the deadline delays no other host. It is not asked again until its former answer has come or its
    call has ended, so that a host that hangs does not use up threads.

    Args:
        fleet: the hosts.
        storage: where the values are stored.
        sources: returns the further sources.
        exporters: returns the receivers of all samples.
        timeout: seconds that each host may take.
        interval: seconds between two rounds.
        lease: the right to collect for all processes; None to collect without storing anything.
        calls: gives calls of the database a deadline.

    Attributes:
        latest: the last round.
        lease: the right to collect, None if nothing is stored.
    """

    def __init__(
        self,
        fleet: AskedFleet,
        storage: MetricStorage,
        *,
        sources: Callable[[], Sequence[MetricSource]] = lambda: (),
        exporters: Callable[[], Sequence[MetricExporter]] = lambda: (),
        timeout: float = 10.0,
        interval: float = 60.0,
        lease: Lease | None = None,
        calls: DatabaseCalls | None = None,
    ) -> None:
        self._fleet, self._storage, self._timeout, self._interval = fleet, storage, timeout, interval
        self._calls = calls or DatabaseCalls(max(timeout, interval / 2))
        self.lease = lease
        self._layouts: Layouts = storage.layouts
        self._sources, self._exporters = list(sources()), list(exporters())
        self._tracker: CounterTracker | None = None
        self._pending = PendingCalls()
        self._unwritten: deque[tuple[Round, dict[Any, Any]]] = deque()
        self._dropped = 0
        self._stamp: tuple[float, float] | None = None
        self._ahead = self._ahead_said = 0.0
        self._pushed_until: float | None = None
        self._homes: dict[str, str] = {}
        self._hosts: list[str] = []
        self._pools: set[str] = set()
        self._silent: set[str] = set()
        self.latest: Round | None = None

    def collect(self) -> Round:
        """Measure everything once, store it, and return it.

        A problem of one host or source is an entry of `Round.problems`. If the database can't be used, rounds are kept in memory and
        stored later; the problem is said under "database".

        Raises:
            BusyError: another process has taken over.
        """
        began = time.monotonic()
        made = self._begun()
        if self._ahead > FUTURE:
            if abs(self._ahead - self._ahead_said) > FUTURE / 10:  # otherwise each round would say another number of seconds
                self._ahead_said = self._ahead
            made.problems["clock"] = (
                f"the database's clock went back: rounds get times that are {format_duration(self._ahead_said)} ahead of it; set it right"
            )
        self._measure_hosts(made)
        self._measure_sources(made)
        self._follow_counters(made)
        self._store(made)
        made.seconds = time.monotonic() - began
        self.latest = made
        self._export(made)
        return made

    def _begun(self) -> Round:
        """Return an empty round.

        Its time is that of the database's clock. If it goes ahead, the time follows it: most often it was wrong before, or this machine
        was suspended. If it goes back, the time runs on at its own rate, unless the clock was certainly wrong before.
        """
        steady = time.monotonic()
        now: float | None = None
        read: float | None = None
        with suppress(StorageError):
            now = read = self._calls.run(self._storage.now)
            if self._stamp is None and self.lease is not None:
                last = self._calls.run(self._storage.last_round)
                if last is not None and last >= now:
                    self._stamp = (last, steady - self._interval)
        jumped = 0.0
        if self._stamp is not None:
            steadily = self._stamp[0] + steady - self._stamp[1]
            if now is None or (now <= self._stamp[0] and not self._corrected(now, steadily - now)):
                now = steadily
            jumped = now - steadily if now > steadily + JUMP or now <= self._stamp[0] else 0.0
        self._ahead = 0.0 if read is None or now is None else now - read
        self._stamp = (time.time() if now is None else now, steady)
        return Round(self._stamp[0], jumped=jumped)

    def _corrected(self, now: float, ahead: float) -> bool:
        """Set the times of the rounds right that are ahead of the clock. Return whether rounds may follow the clock again."""
        if ahead <= FUTURE:
            return False
        if self.lease is not None:
            try:
                waiting = [one.at for one, _ in self._unwritten]
                if not self._calls.run(Correction(self._storage, now, ahead, self.lease, waiting).apply):
                    return False
            except (StorageError, BusyError):  # tried again; that another process has taken over is found on writing
                return False
        for one, _ in self._unwritten:
            if one.at > now:
                one.at -= ahead
        self._pushed_until = None
        return True

    def _measure_hosts(self, made: Round) -> None:
        with suppress(StorageError):
            self._hosts = [host.name for host in self._calls.run(self._fleet.list)]
        asked, late = self._pending.apart(self._hosts)
        found: dict[tuple[str, str], Measured] = {}
        for name in late:
            made.problems[name] = "still does not answer"
            found["host", name] = silent_host(name, self._timeout, self._layouts)
        answers = self._fleet.ask(asked, self._measure, timeout=self._timeout, limit=AT_ONCE)
        for name, answer in zip(asked, answers, strict=True):
            if answer.error is not None:
                made.problems[name] = str(answer.error)
                found["host", name] = silent_host(name, self._timeout, self._layouts)
                continue
            for one in answer.value:
                other = found.get((one.kind, one.key))
                if other is None or self._is_home(one, other):
                    found[one.kind, one.key] = one
        kept = {vm: host for vm, host in self._homes.items() if host in made.problems}
        self._homes = kept | {one.key: one.host for one in found.values() if one.kind == "vm"}
        self._pools = {key for kind, key in found if kind == "pool"}
        self._silent = set(made.problems) & set(self._hosts)
        made.measured += found.values()

    def gone(self, labels: Mapping[str, str]) -> bool:
        """Return whether the VM, pool or host with these labels was deleted: its host answered the last time and did not report it."""
        if "vm" in labels:
            return labels["vm"] not in self._homes and not self._silent
        if "host" in labels and labels["host"] not in self._hosts:
            return True
        if "pool" in labels and "host" in labels:
            return labels["host"] not in self._silent and f"{labels['host']}/{labels['pool']}" not in self._pools
        return False

    def _measure(self, host: Any) -> list[Measured]:
        with self._pending.call(host.name):
            return measure_host(host, self._layouts)

    def _is_home(self, one: Measured, other: Measured) -> bool:
        """Return which of two hosts has a VM that both report, as during a migration: the one where it runs, else where it was."""
        if one.kind != "vm" or bool(one.layout.counters) != bool(other.layout.counters):
            return bool(one.layout.counters)
        return self._homes.get(one.key) == one.host

    def _measure_sources(self, made: Round) -> None:
        _, hanging = self._pending.apart(_source_name(source) for source in self._sources)
        asked = [source for source in self._sources if _source_name(source) not in hanging]
        late = [source for source in self._sources if _source_name(source) in hanging]
        futures = fan_out(asked, self._ask_source, seconds=self._timeout, limit=AT_ONCE, name="novacron-source")
        for source in late:
            made.problems[source.name] = "still does not answer"
            made.measured.append(source_state(source.name, up=False, dropped=0, layouts=self._layouts))
        for source, future in zip(asked, futures, strict=True):
            error = future.exception() if future.done() else TimeoutError(f"no answer within {self._timeout:g} s")
            if error is not None:
                made.problems[source.name] = f"{type(error).__name__}: {error}"
                made.measured.append(source_state(source.name, up=False, dropped=0, layouts=self._layouts))
            else:
                made.measured += future.result()

    def _ask_source(self, source: MetricSource) -> list[Measured]:
        with self._pending.call(_source_name(source)):
            return measured_source(source, source.collect(), self._layouts)

    def _follow_counters(self, made: Round) -> None:
        if self._tracker is None:
            tracker = CounterTracker()
            if self.lease is not None:
                try:
                    tracker.known = self._calls.run(self._storage.counters)
                except StorageError as error:  # without the counters of before, new ones could fall
                    made.problems["database"] = f"{error}; this round is not stored"
                    return
            self._tracker = tracker
        self._tracker.follow(one for one in made.measured if one.kind != "custom")

    def _store(self, made: Round) -> None:
        if self.lease is None or self._tracker is None:
            return
        self._unwritten.append((made, self._tracker.take_changes()))
        if len(self._unwritten) > BACKLOG:
            self._drop_oldest()
        try:
            pushed = self._calls.run(lambda: self._write(made))
        except StorageError as error:
            lost = f"; {self._dropped} older rounds were dropped" if self._dropped else ""
            made.problems["database"] = f"{error}; {len(self._unwritten)} rounds wait in memory{lost}"
            return
        self._pushed_until = made.at
        made.measured += pushed
        if self._dropped:
            made.problems["database"] = f"{self._dropped} rounds could not be stored and were dropped; the rest is stored"
            self._dropped = 0

    def _drop_oldest(self) -> None:
        """Drop the oldest round that waits. What it says about counters goes to the next one."""
        _, changes = self._unwritten.popleft()
        following = self._unwritten[0][1]
        following.update({name: one for name, one in changes.items() if name not in following})
        self._dropped += 1

    def _write(self, made: Round) -> list[Measured]:
        """Store the rounds that wait, oldest first, and return what scripts pushed since the last round."""
        while self._unwritten:
            first = self._unwritten[0]
            try:
                self._storage.write(first[0].at, first[0].measured, lease=self.lease, counters=first[1])
            except BusyError:
                self._hand_over()
                raise
            if self._unwritten and self._unwritten[0] is first:  # it may have been dropped meanwhile
                self._unwritten.popleft()
        return self._pushed(made.at)

    def _hand_over(self) -> None:
        """Store the rounds from before another process took over. They are in the past, so they replace nothing that it writes."""
        *earlier, _ = self._unwritten
        for one, _ in earlier:
            self._storage.write(one.at, one.measured, pushed=False)
        self._unwritten.clear()

    def _pushed(self, at: float) -> list[Measured]:
        """Return the newest values that scripts pushed since the last round, for exporters and alerts. They are stored already."""
        since = at - self._interval if self._pushed_until is None else self._pushed_until
        times = self._storage.rounds(since, at, pushed=True)
        if not times:
            return []
        known, newest = self._storage.objects("custom"), {}
        for _, number, layout, values in self._storage.read(times):
            newest[number, layout.digest] = (number, layout, values)
        objects = [(*known[number], layout, list(values)) for number, layout, values in newest.values() if number in known]
        return [Measured(kind, key, "", labels, layout, values) for kind, key, labels, layout, values in objects]

    def _export(self, made: Round) -> None:
        for exporter in self._exporters:
            try:
                exporter.export(made.at, list(made.samples()))
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it is reported and the rest works
                made.problems[exporter.name] = f"{type(error).__name__}: {error}"


def _source_name(source: MetricSource) -> str:
    """Return a name that no host has."""
    return f"source {source.name}"


__all__ = ["Collector"]
