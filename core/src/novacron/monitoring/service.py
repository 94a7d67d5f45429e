"""The service that collects in intervals; `novacron monitor collect` runs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from novacron.errors import BusyError, InvalidSpecError, NovaCronError, SpecProblem, StorageError
from novacron.monitoring.collector import Collector
from novacron.monitoring.database_calls import DatabaseCalls
from novacron.monitoring.imports import FirstImports
from novacron.monitoring.layouts import Round
from novacron.units import format_duration

if TYPE_CHECKING:
    from novacron.monitoring.alerting.alerts import FleetAlerts
    from novacron.monitoring.alerting.notifier import Notifier
    from novacron.monitoring.compaction import Compaction
    from novacron.monitoring.metrics import FleetMetrics


SHORTEST = 0.1
"""The shortest interval between two rounds, in seconds."""


class MonitorService:
    """Collects once in each interval while this process has the right to; otherwise it waits for it.

    Args:
        metrics: the fleet's metrics.
        interval: seconds between two rounds.
        timeout: seconds that each host may take.
        say: is called with messages for the administrator; each message is said once until it changes.
        after: is called with each round that this process collected.
        alerts: the rules to evaluate after each round; None for no alerts.
        imports: whether to import what a hypervisor stored about the time before its first round.
        follow: is called with the newest stored round while another process collects.

    Attributes:
        imports: imports what hypervisors stored about the time before; None without it.
        latest: the last round.
    """

    def __init__(
        self,
        metrics: FleetMetrics,
        *,
        interval: float = 60.0,
        timeout: float = 10.0,
        say: Callable[[str], object] = print,
        after: Callable[[Round], object] | None = None,
        follow: Callable[[Round], object] | None = None,
        alerts: FleetAlerts | None = None,
        imports: bool = True,
    ) -> None:
        if interval < SHORTEST:
            problem = SpecProblem("interval", f"{interval:g} s", f"at least {SHORTEST:g} s")
            raise InvalidSpecError("the interval is too short", problems=[problem])
        self._calls = DatabaseCalls(max(timeout, interval / 2))
        self._alerts = alerts
        self._notifier: Notifier | None = None
        self._metrics, self._interval, self._timeout, self._say = metrics, interval, timeout, say
        self._after, self._follow = after, follow
        self._collector: Collector | None = None
        self._compaction: Compaction | None = None
        self._said: dict[str, str] = {}
        self.imports = FirstImports(metrics.import_first, say) if imports else None
        self.latest: Round | None = None
        self._ahead = 0.0

    def run(self, stop: threading.Event, rounds: int | None = None) -> None:
        """Collect until `stop` is set, or for so many rounds.

        A round that takes longer than the interval delays the next one; no round is collected twice.
        """
        due, done = time.monotonic(), 0
        try:
            while not stop.is_set() and (rounds is None or done < rounds):
                done += self.step() is not None
                due = max(due + self._interval, time.monotonic())
                if rounds is None or done < rounds:
                    stop.wait(due - time.monotonic())
        finally:
            self.close()

    def step(self) -> Round | None:
        """Collect one round. Return None if another process collects, or the database can't be used."""
        try:
            if self._collector is None:
                self._collector = self._calls.run(self._new_collector)
                self._compaction = None if self._collector is None else self._metrics.compaction(self._collector.lease)
            if self._collector is None:
                self._tell("collection", f"waiting: {self._calls.run(self._metrics.collecting)} collects")
                self._follow_stored()
                return None
            self._tell("collection", "collecting")
            self.latest = self._collector.collect()
            self._tell_jump(self.latest.jumped)
            if self._after is not None:
                self._after(self.latest)
            self._notify(self._collector, self.latest)
            self._tell_problems(self.latest)
            self._compact(self.latest)
            if self.imports is not None:
                self.imports.begin(self.latest)
            return self.latest
        except BusyError as error:
            self._collector = self._notifier = None
            self._tell("collection", str(error))
        except NovaCronError as error:
            self._tell("service", str(error))
        return None

    def close(self) -> None:
        """Give the right to collect back."""
        if self.imports is not None:
            self.imports.close()
        collector, self._collector = self._collector, None
        self._close_notifier()
        lease = None if collector is None else collector.lease
        if lease is not None:
            try:
                self._calls.run(lambda: self._metrics.release_collection(lease))
            except NovaCronError as error:
                self._tell("service", str(error))

    def _close_notifier(self) -> None:
        notifier, self._notifier = self._notifier, None
        if notifier is not None:
            notifier.close()

    def _notify(self, collector: Collector, made: Round) -> None:
        """Evaluate the rules and deliver notifications. If the database can't be used, the next round tries again."""
        if self._alerts is None:
            return
        try:
            if made.jumped < 0:  # what it remembers has wrong times
                self._close_notifier()
                self._ahead = -made.jumped
            if self._notifier is None:
                self._notifier = self._alerts.notifier(collector.lease, collector.gone, self._calls, made.at, self._ahead)
                self._ahead = 0.0
            self._notifier.take(made)
            self._notifier.deliver(made.at)
            made.problems |= {f"rule {name}": problem for name, problem in self._notifier.problems.items()}
            made.problems |= self._notifier.unread
        except StorageError as error:
            made.problems["alerts"] = str(error)

    def _new_collector(self) -> Collector | None:
        return self._metrics.collector(timeout=self._timeout, interval=self._interval, calls=self._calls)

    def _compact(self, made: Round) -> None:
        compaction = self._compaction
        if compaction is not None and "database" not in made.problems:
            self._calls.run(lambda: compaction.step(made.at, self._interval))

    def _follow_stored(self) -> None:
        storage = self._calls.of(self._metrics.storage)
        last = storage.last_round()
        if self._follow is not None and last is not None and (self.latest is None or last != self.latest.at):
            self.latest = Round(last, storage.at_time(last))
            self._follow(self.latest)

    def _tell_jump(self, seconds: float) -> None:
        if seconds > 0:
            self._say(f"the clock went ahead by {format_duration(seconds)}: it was set, or this machine was suspended")
        elif seconds < 0:
            self._say(f"the clock was set back by {format_duration(-seconds)}: rounds that were ahead have their right times now")

    def _tell_problems(self, made: Round) -> None:
        for where, problem in made.problems.items():
            self._tell(where, f"{where}: {problem}")
        for where in set(self._said) - set(made.problems) - {"collection"}:
            del self._said[where]
            self._say(f"{where}: well again")

    def _tell(self, about: str, text: str) -> None:
        if self._said.get(about) != text:
            self._said[about] = text
            self._say(text)


__all__ = ["MonitorService"]
