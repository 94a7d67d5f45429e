"""Evaluates the rules after each round, and delivers notifications."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from novacron.errors import InvalidSpecError, NovaCronError, StorageError
from novacron.monitoring.alerting.configuration import Configuration, matcher
from novacron.monitoring.alerting.grouping import due, muted
from novacron.monitoring.alerting.samples import Samples
from novacron.monitoring.alerting.sinks import Sinks, name_of
from novacron.monitoring.alerting.states import AlertStates, Tracked
from novacron.monitoring.alerting.storage import AlertStorage, Outgoing
from novacron.monitoring.database_calls import DatabaseCalls
from novacron.monitoring.layouts import Round
from novacron.store.leases import Lease
from novacron.threads import fan_out, in_thread

DEADLINE = 30.0
"""Seconds that a sink may take for one notification."""


class Notifier:
    """Decides about alerts: in the process that collects, with the same lease.

    Args:
        storage: the alerts in the database.
        configuration: returns the current rules, routes and receivers.
        sinks: delivers notifications.
        lease: the right to decide; None in tests.
        gone: returns whether the object with these labels was deleted.
        calls: gives the calls of the database that decisions need a deadline. None for no deadline.
    """

    def __init__(
        self,
        storage: AlertStorage,
        configuration: Callable[[], Configuration],
        sinks: Sinks,
        lease: Lease | None,
        gone: Callable[[Mapping[str, str]], bool] = lambda labels: False,
        calls: DatabaseCalls | None = None,
    ) -> None:
        self._storage, self._read, self._sinks, self.lease, self._gone = storage, configuration, sinks, lease, gone
        self._calls = calls
        self._decided: AlertStorage = storage if calls is None else calls.of(storage)
        self._configuration: Configuration | None = None
        self.samples = Samples()
        self._states: AlertStates | None = None
        self._busy: set[int] = set()
        self._guard = threading.Lock()
        self._jumped = 0.0
        self._delivery: Future[None] | None = None
        self.problems: dict[str, str] = {}
        self.unread: dict[str, str] = {}

    def horizons(self) -> dict[str, float]:
        """Return how many seconds of samples of each metric the rules need, by the rules that were read last."""
        found: dict[str, float] = {}
        if self._configuration is None:
            self._configuration = self._read()
        for rule in self._configuration.rules:
            for metric, seconds in rule.horizons().items():
                found[metric] = max(seconds, found.get(metric, 0.0))
        return found

    def take(self, made: Round) -> None:
        """Remember the values of a round that rules need, and evaluate the rules.

        Raises:
            BusyError: another process decides about alerts now.
            StorageError: the database can't be used. The values are remembered nevertheless.
        """
        unread: StorageError | None = None
        try:
            self._configuration = self._read() if self._calls is None else self._calls.run(self._read)
        except StorageError as error:
            if self._configuration is None:
                raise
            unread = error
        self.remember(made)
        self._jumped += max(0.0, made.jumped)
        if unread is not None:
            raise unread
        self.evaluate(made.at)

    def remember(self, made: Round) -> None:
        """Remember the values of a round that rules need. Rounds are given in the order of their times."""
        horizons = self.horizons()
        self.samples.add_round(made, horizons)
        self.samples.forget({metric: made.at - seconds - 1 for metric, seconds in horizons.items()})

    def evaluate(self, at: float) -> None:
        """Evaluate all rules, store what changed, and make the notifications that are due.

        Raises:
            BusyError: another process decides about alerts now.
            StorageError: the database can't be used. The states are as before, so that nothing is lost.
        """
        configuration = self._configuration = self._configuration or self._read()
        known = self._states.known if self._states is not None else self._decided.states()
        states = AlertStates(configuration.rules, known) if self._states is None else self._states
        states.rules = list(configuration.rules)
        before = dict(states.known)
        try:
            changed, self.problems = states.evaluate(self.samples, at, self._gone, self._jumped)
            silences, self.unread = [], dict(configuration.unread)
            for one in self._decided.silences():
                try:
                    silences.append((one, tuple(map(matcher, one.matchers))))
                except InvalidSpecError as error:  # of an older version; too much is sent rather than nothing
                    self.unread[f"silence {one.id}"] = str(error)
            alerts = muted((one.alert for one in states.known.values()), silences, configuration, at)
            for alert in alerts:
                old = states.known[alert.fingerprint]
                if old.alert is not alert:
                    states.known[alert.fingerprint] = changed[alert.fingerprint] = Tracked(alert, old.series, old.kept_since)
            notifications, groups = due(alerts, self._decided.groups(), configuration, at)
            outgoing = [
                (f"{note.key}-{place}", dict(sink), note)
                for note in notifications
                for place, sink in enumerate(configuration.receivers[note.receiver])
            ]
            if changed or groups or outgoing:
                self._decided.write(changed, groups, outgoing, at=at, lease=self.lease)
        except BaseException:
            states.known = before
            raise
        self._states, self._jumped = states, 0.0

    def deliver(self, at: float) -> None:
        """Deliver what waits, in a thread: a sink that hangs delays neither the collection nor other sinks."""
        if self._delivery is None or self._delivery.done():
            self._delivery = in_thread(lambda: self.deliver_now(at), "novacron-notifier")

    def deliver_now(self, at: float, deadline: float = DEADLINE) -> None:
        """Deliver what waits and is due, and wait for it."""
        with self._guard:
            waiting = [one for one in self._storage.waiting(at) if one.id not in self._busy]
            self._busy |= {one.id for one in waiting}
        futures = fan_out(waiting, lambda one: self._send(one, at), seconds=deadline, limit=16, name="novacron-sink")
        for one, future in zip(waiting, futures, strict=True):
            if not future.done():
                self._storage.failed(one, at, f"the sink {name_of(one.sink)} did not answer within {deadline:g} s")

    def _send(self, one: Outgoing, at: float) -> None:
        try:
            self._sinks.send(one.sink, one.notification)
        except NovaCronError as error:
            self._storage.failed(one, at, str(error))
        else:
            self._storage.delivered(one, at)
        finally:
            with self._guard:
                self._busy.discard(one.id)

    def close(self, seconds: float = 5.0) -> None:
        """Wait a moment for a delivery that is under way."""
        if self._delivery is not None:
            try:
                self._delivery.result(seconds)
            except (TimeoutError, NovaCronError):
                return


__all__ = ["Notifier"]
