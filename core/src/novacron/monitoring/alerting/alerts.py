"""The alerts of the fleet: `novacron.fleet().alerts`."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.monitoring.alerting.configuration import Configuration, combined, matcher, read_configuration
from novacron.monitoring.alerting.defaults import default_configuration
from novacron.monitoring.alerting.grouping import Silence
from novacron.monitoring.alerting.notifier import Notifier
from novacron.monitoring.alerting.quantities import wrong_units
from novacron.monitoring.alerting.rule_tests import RuleTest, run_tests
from novacron.monitoring.alerting.rules import Rule, prometheus_file
from novacron.monitoring.alerting.sinks import Sinks, unencrypted
from novacron.monitoring.alerting.states import listed
from novacron.monitoring.alerting.storage import AlertStorage, Outgoing
from novacron.monitoring.builtin import definitions
from novacron.monitoring.database_calls import DatabaseCalls
from novacron.monitoring.history import History
from novacron.monitoring.layouts import Round
from novacron.records.alerts import Alert
from novacron.units import parse_duration

if TYPE_CHECKING:
    from novacron.monitoring.alerting.actions import AlertActions
    from novacron.monitoring.metrics import FleetMetrics
    from novacron.store.database import Database
    from novacron.store.leases import Lease

DEFAULTS = "defaults"
"""The name of the built-in rules. A file of this name replaces them."""

OWN_METRICS = "novacron_"
"""How the names of the metrics begin that NovaCron measures itself."""
UNPACKED = 3600.0
"""For how many seconds samples are certainly stored as they were measured."""
ALL = 10_000_000
"""More series than a fleet has."""


class FleetAlerts:
    """Rules, alerts, silences and notifications.

    Args:
        metrics: the fleet's metrics.
        database: returns the state database.
        state: the state directory.
        secret: looks up a secret by name.
        hook: returns the hooks of plugins.
        actor: who creates silences and loads files.
        actions: what begins the flows of alerts.

    Example:
        >>> import novacron
        >>> alerts = novacron.fleet().alerts
        >>> silence = alerts.silence(["host=kvm1"], "2h", comment="a new disk")
        >>> [one.comment for one in alerts.silences()], alerts.unsilence(silence.id)
        (['a new disk'], None)
    """

    def __init__(
        self,
        metrics: FleetMetrics,
        database: Callable[[], Database],
        state: Path,
        secret: Callable[[str], str],
        hook: Callable[[], Any],
        actor: str,
        actions: Callable[[FleetAlerts], AlertActions],
        recording: Callable[..., AbstractContextManager[None]],
    ) -> None:
        self._metrics, self._database, self._hook, self._actor = metrics, database, hook, actor
        self._actions, self._recording = actions(self), recording
        self._sinks = Sinks(
            state,
            secret,
            lambda: [sink for some in hook().alert_sinks() for sink in some],
            self._actions.begin,
            lambda: hook().alert_sinks,
        )
        self._read: tuple[Any, Configuration] | None = None

    def __repr__(self) -> str:
        return "<alerts of the fleet>"

    @property
    def storage(self) -> AlertStorage:
        """The alerts in the state database."""
        return AlertStorage(self._database())

    def list(self, state: str | None = None) -> list[Alert]:
        """Return the alerts, the firing ones first. Resolved ones are listed for 15 minutes.

        Args:
            state: "pending", "firing" or "resolved"; all when None.
        """
        return [one for one in listed(self.storage.states().values()) if state in (None, one.state)]

    def configuration(self) -> Configuration:
        """Return rules, routes and receivers: built-in ones, those of plugins, and those of the files that were loaded.

        What an older version has stored and this one can't read is left out and named: all other alerts must go on.
        """
        files = self.storage.files_with_actors()
        plugins = [rule for some in self._hook().alert_rules() for rule in some]
        if self._read is None or self._read[0] != (files, plugins):
            defaults = default_configuration()
            unread: dict[str, str] = {}
            some, own = dict[str, Configuration](), list[Rule]()
            for name, (content, actor) in files.items():
                with _noted(unread, f"alerts in {name}"):
                    some[name] = _acting(read_configuration(content, name), actor)
            for each in plugins:
                with _noted(unread, "alerts of plugins"):
                    own.append(Rule.of(each))
            base = [] if DEFAULTS in some else [Configuration(rules=defaults.rules)]
            found = combined([*base, Configuration(rules=tuple(own)), *some.values()], defaults)
            self._read = ((files, plugins), msgspec.structs.replace(found, unread=unread))
        return self._read[1]

    def rules(self) -> tuple[Rule, ...]:
        """Return all rules.

        Example:
            >>> import novacron
            >>> "HostUnreachable" in {rule.alert for rule in novacron.fleet().alerts.rules()}
            True
        """
        return self.configuration().rules

    def load(self, name: str, content: Any) -> Configuration:
        """Check and store a file of rules, routes and receivers. It replaces the one of the same name, for all processes.

        Args:
            name: the file's name. "defaults" replaces the built-in rules.
            content: rules or groups (as in Prometheus), route, receivers, inhibit_rules; see docs/monitoring.md.

        Raises:
            InvalidSpecError: it names each invalid field. Nothing is stored then.
        """
        read = read_configuration(content, name)
        problems = []
        for receiver, sinks in read.receivers.items():
            for place, sink in enumerate(sinks):
                field = f"receivers.{receiver}.sinks.{place}"
                problems += self._actions.check(sink, field) if sink["type"] == "flow" else unencrypted(sink, field)
        problems += unknown_metrics(read.rules) or wrong_units(read.rules, self._metrics.definitions())
        problems += same_alerts(read.rules)
        if problems:
            raise InvalidSpecError(f"invalid alerts in {name}", problems=problems)
        taken = set[str]()
        for known, given in self.storage.files().items():
            if known != name:
                with suppress(InvalidSpecError):  # `configuration` names it
                    taken |= {rule.alert for rule in read_configuration(given, known).rules}
        twice = sorted(taken & {rule.alert for rule in read.rules})
        if twice:
            raise InvalidSpecError(
                f"invalid alerts in {name}", problems=[SpecProblem("alert", twice[0], "a name that no other file has")]
            )
        if not name or len(name) > 128:
            raise InvalidSpecError("invalid name", problems=[SpecProblem("name", name, "a name of at most 128 characters")])
        with self._recording("alerts_load", name):
            self.storage.save_file(name, content, self._actor)
        return read

    def unload(self, name: str) -> None:
        """Remove a file that was loaded; its alerts resolve. Raises NotFoundError."""
        with self._recording("alerts_unload", name):
            self.storage.remove_file(name)

    def for_prometheus(self) -> dict[str, Any]:
        """Return all rules as the content of a rule file of Prometheus."""
        return prometheus_file(self.rules())

    def test(self, content: Any, source: str = "tests") -> Sequence[RuleTest]:
        """Run unit tests of rules, in the format of `promtool test rules`. Without rules of its own the file tests the current ones."""
        own = isinstance(content, Mapping) and ({"rules", "groups"} & set(content))
        return run_tests(content, () if own else self.rules(), source)

    def silence(self, matchers: Iterable[str], duration: float | str | timedelta, *, comment: str = "") -> Silence:
        """Send no notifications about alerts with these labels for a while.

        Args:
            matchers: such as "host=kvm1" or "name=~web.*"; an alert must fulfil all of them.
            duration: for how long.
            comment: why.

        Raises:
            InvalidSpecError: an invalid matcher, or none.
        """
        given = tuple(matchers)
        for text in given:
            matcher(text)
        seconds = parse_duration(duration)
        if not given or not seconds:
            raise InvalidSpecError(
                "invalid silence", problems=[SpecProblem("matchers", str(given), "at least one matcher, and a duration")]
            )
        now = self._metrics.storage.now()
        made = Silence(
            id=secrets.token_hex(4), matchers=given, starts_at=now, ends_at=now + seconds, actor=self._actor, comment=comment
        )
        with self._recording("alerts_silence", made.id, matchers=given, seconds=seconds):
            self.storage.save_silence(made)
        return made

    def silences(self) -> Iterable[Silence]:
        """Return the silences that have not ended, the first to end first."""
        now = self._metrics.storage.now()
        return [one for one in self.storage.silences() if one.ends_at > now]

    def unsilence(self, identity: str) -> None:
        """End a silence now. Raises NotFoundError."""
        with self._recording("alerts_unsilence", identity):
            self.storage.end_silence(identity, self._metrics.storage.now())

    def waiting(self) -> Iterable[Outgoing]:
        """Return the notifications that no sink has accepted yet, with the error of the last attempt."""
        return self.storage.waiting()

    def notifier(
        self,
        lease: Lease | None,
        gone: Callable[[Mapping[str, str]], bool] = lambda labels: False,
        calls: DatabaseCalls | None = None,
        before: float | None = None,
        ahead: float = 0.0,
    ) -> Notifier:
        """Return what evaluates the rules and delivers notifications; it has read the samples that the rules need.

        Args:
            lease: the right to decide about alerts.
            gone: returns whether the object with these labels was deleted.
            calls: gives calls of the database a deadline.
            before: the time of the first round that the notifier will be given. Only older ones are read; by default all until now.
            ahead: by how many seconds the clock was ahead until it was set back just now.

        Raises:
            StorageError: the database can't be used.
        """
        made = Notifier(self.storage, self.configuration, self._sinks, lease, gone, calls)
        if calls is None:
            self._fill(made, before, ahead)
        else:
            calls.run(lambda: self._fill(made, before, ahead))
        return made

    def _fill(self, notifier: Notifier, before: float | None, ahead: float) -> None:
        """Let a new notifier know the past that the rules need. What the clock stored while it was ahead does not wait for these times.

        Most rules need a few minutes, of which all rows are read at once: a fleet may have 100,000 VMs. Only what a rule needs of earlier
        times is read series by series.
        """
        if before is not None:
            self.storage.set_back(before, notifier.lease, ahead)
        storage = self._metrics.storage
        now = storage.now() if before is None else math.nextafter(before, -math.inf)
        history, horizons = History(storage, {}), notifier.horizons()
        for metric in (metric for metric, seconds in horizons.items() if seconds > UNPACKED):
            for one in history.query(metric, since=now - horizons[metric], until=now, age=0.0, show="value", limit=ALL):
                for at, value in one.points:
                    notifier.samples.add(metric, one.labels, at, value)
        recent = max((seconds for seconds in horizons.values() if seconds <= UNPACKED), default=0.0)
        times = storage.rounds(now - recent, now)
        known = storage.objects() if times else {}
        for at in times:
            notifier.remember(Round(at, storage.at_time(at, known)))


def unknown_metrics(rules: Iterable[Rule]) -> list[SpecProblem]:
    """Return the metrics in rules that NovaCron would measure itself, and does not. Other metrics may come later, from scripts and plugins.

    Example:
        >>> [problem.given for problem in unknown_metrics([Rule.of({"alert": "A", "expr": "novacron_vm_crash == 1"})])]
        ['novacron_vm_crash']
    """
    known = definitions()
    found = []
    for rule in rules:
        for metric in sorted(rule.horizons()):
            if metric.startswith(OWN_METRICS) and metric not in known:
                near = get_close_matches(metric, known, n=1)
                allowed = f"{near[0]}, perhaps" if near else "one of the metrics that `novacron monitor metrics` lists"
                found.append(SpecProblem(f"{rule.alert}.expr", metric, allowed))
    return found


def same_alerts(rules: Iterable[Rule]) -> list[SpecProblem]:
    """Return the rules whose alerts could be those of another rule: rules of one name need a label with different texts.

    Example:
        >>> one = Rule.of({"alert": "A", "expr": "up == 0", "labels": {"severity": "critical"}})
        >>> [problem.path for problem in same_alerts([one, Rule.of({"alert": "A", "expr": "up == 1"})])]
        ['A.labels']
    """
    by_name: dict[str, list[dict[str, str]]] = {}
    problems = []
    for rule in rules:
        labels = {name: text for name, text in rule.labels.items() if text and "{{" not in text}
        others = by_name.setdefault(rule.alert, [])
        if not all(any(labels[name] != other[name] for name in labels.keys() & other.keys()) for other in others):
            allowed = "a label, such as severity, that differs from the other rules of this name"
            problems.append(SpecProblem(f"{rule.alert}.labels", str(labels), allowed))
        others.append(labels)
    return problems


@contextmanager
def _noted(problems: dict[str, str], about: str) -> Iterator[None]:
    """Note what can't be read, and go on."""
    try:
        yield
    except InvalidSpecError as error:
        problems[about] = str(error)


def _acting(configuration: Configuration, actor: str | None) -> Configuration:
    """Return a file's configuration whose flows are begun for whoever loaded the file."""
    receivers = {
        name: tuple({**sink, "actor": actor} if sink["type"] == "flow" else sink for sink in sinks)
        for name, sinks in configuration.receivers.items()
    }
    return msgspec.structs.replace(configuration, receivers=receivers)


__all__ = ["DEFAULTS", "FleetAlerts"]
