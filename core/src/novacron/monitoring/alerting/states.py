"""The state of alerts: inactive, pending, firing, resolved, as in Prometheus, with hysteresis and a choice for missing data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.monitoring.alerting.evaluation import Evaluation
from novacron.monitoring.alerting.rules import Rule
from novacron.monitoring.alerting.samples import Samples
from novacron.monitoring.alerting.templates import fill
from novacron.monitoring.layouts import Labels
from novacron.records.alerts import Alert

RESOLVED_FOR = 900.0
"""Seconds that a resolved alert is still listed."""


class Tracked(msgspec.Struct, frozen=True):
    """An alert with what is needed to follow it: the labels of its series, and since when it fires only by `keep_firing_for`."""

    alert: Alert
    series: Labels
    kept_since: float | None = None


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """Return what identifies an alert with these labels.

    Example:
        >>> len(fingerprint_of({"alertname": "A"}))
        16
    """
    return hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16]


class AlertStates:
    """Follows the alerts of rules from evaluation to evaluation.

    Args:
        rules: the rules.
        known: the alerts of an earlier process, by fingerprint.
    """

    def __init__(self, rules: Sequence[Rule], known: Mapping[str, Tracked] | None = None) -> None:
        self.rules = list(rules)
        self.known: dict[str, Tracked] = dict(known or {})
        self._seen: dict[tuple[str, str], dict[Labels, float]] = {}

    def evaluate(
        self,
        samples: Samples,
        at: float,
        gone: Callable[[Mapping[str, str]], bool] = lambda labels: False,
        jumped: float = 0.0,
    ) -> tuple[dict[str, Tracked | None], dict[str, str]]:
        """Evaluate all rules at a time.

        Args:
            samples: where the samples are.
            at: the time. Alerts do not change if it is not later than in the last evaluation.
            gone: returns whether the object with these labels was deleted; its alerts then resolve, although data is missing.
            jumped: by how many seconds the clock went ahead at once. Whether a condition held in this time is unknown, so it does not
                count for alerts that are pending.

        Returns:
            The alerts that changed by fingerprint, None for those that are forgotten; and the problems of rules by name.
        """
        before = dict(self.known)
        if jumped:
            self._postpone(jumped)
        problems: dict[str, str] = {}
        orphans = set(before)
        by_rule: dict[str, dict[str, Tracked]] = {}
        for name, one in before.items():
            by_rule.setdefault(one.alert.rule, {})[name] = one
        evaluation = Evaluation(samples, at)
        for rule in self.rules:
            mine = self._of(rule, by_rule.get(rule.alert, {}))
            orphans -= set(mine)
            try:
                self._evaluate(rule, mine, evaluation, gone)
            except InvalidSpecError as error:
                problems[rule.alert] = str(error)
            except OverflowError as error:  # values near 1e308; the other rules must still be evaluated
                problems[rule.alert] = f"the values are too large: {error}"
        for name in orphans & set(self.known):  # alerts of rules that were removed
            self._end(name, at)
        changed: dict[str, Tracked | None] = {name: one for name, one in self.known.items() if before.get(name) != one}
        return changed | dict.fromkeys(set(before) - set(self.known)), problems

    def _postpone(self, seconds: float) -> None:
        for name, one in self.known.items():
            if one.alert.state == "pending":
                later = one.alert.replace(active_since=one.alert.active_since + seconds)
                self.known[name] = Tracked(later, one.series, one.kept_since)

    def _of(self, rule: Rule, known: dict[str, Tracked]) -> dict[str, Tracked]:
        """Return the alerts of a rule among those of its name: several rules may have one name and differ in their labels."""
        fixed = {name: text for name, text in rule.labels.items() if text and "{{" not in text}  # an alert has no empty labels
        return {name: one for name, one in known.items() if fixed.items() <= one.alert.labels.items()}

    def _evaluate(
        self, rule: Rule, mine: dict[str, Tracked], evaluation: Evaluation, gone: Callable[[Mapping[str, str]], bool]
    ) -> None:
        at, firing = evaluation.at, [one.series for one in mine.values() if one.alert.state == "firing"]
        found, present = rule.conditions(evaluation, firing)
        if rule.no_data == "alert" and present is not None:
            self._add_silent(rule, found, present, gone)
        active: dict[str, Tracked] = {}
        kept = set()
        for series, value in found.items():
            if gone(dict(series)):
                continue
            name, one = self._active(rule, series, value, at)
            if name in active:
                problem = SpecProblem("labels", str(dict(series)), "labels that differ for each series")
                raise InvalidSpecError(f"several series of {rule.alert!r} have the same labels", problems=[problem])
            active[name] = one
        for name, one in mine.items():
            if name not in active and one.alert.state != "resolved" and self._unknown(rule, one, present, gone):
                kept.add(name)
        for name, one in active.items():
            self.known[name] = self._held(rule, one, at)
        for name, one in mine.items():
            if name not in active and name not in kept:
                self._inactive(rule, name, one, at)

    def _active(self, rule: Rule, series: Labels, value: float, at: float) -> tuple[str, Tracked]:
        given = dict(series)
        labels = given | {name: fill(text, given, value) for name, text in rule.labels.items()} | {"alertname": rule.alert}
        labels = {label: text for label, text in labels.items() if text}
        annotations = {name: fill(text, given, value) for name, text in rule.annotations.items()}
        name = fingerprint_of(labels)
        old = self.known.get(name)
        if old is not None and old.alert.state != "resolved":
            return name, Tracked(old.alert.replace(value=value, annotations=annotations), series)
        alert = Alert(
            fingerprint=name,
            rule=rule.alert,
            state="pending",
            labels=labels,
            annotations=annotations,
            value=value,
            active_since=at,
        )
        return name, Tracked(alert, series)

    def _add_silent(
        self, rule: Rule, found: dict[Labels, float], present: Mapping[Labels, float], gone: Callable[[Mapping[str, str]], bool]
    ) -> None:
        """Add the series that had values since this process began, and have none now."""
        seen = self._seen.setdefault((rule.alert, rule.expr), {})
        seen.update(present)
        for series in [series for series in seen if series not in present]:
            if gone(dict(series)):
                del seen[series]
            else:
                found[series] = seen[series]

    def _unknown(
        self, rule: Rule, one: Tracked, present: Mapping[Labels, float] | None, gone: Callable[[Mapping[str, str]], bool]
    ) -> bool:
        """Return whether nothing is known about an alert's series, so that its state is kept."""
        if present is None or rule.no_data == "resolve" or one.series in present:
            return False
        return not gone(one.alert.labels)

    def _held(self, rule: Rule, one: Tracked, at: float) -> Tracked:
        if one.alert.state == "pending" and at - one.alert.active_since >= rule.hold:
            return Tracked(one.alert.replace(state="firing", fired_at=at), one.series)
        return one

    def _inactive(self, rule: Rule, name: str, one: Tracked, at: float) -> None:
        if one.alert.state == "firing" and rule.keep_firing_for > 0:
            since = at if one.kept_since is None else one.kept_since
            if at - since < rule.keep_firing_for:
                self.known[name] = Tracked(one.alert, one.series, since)
                return
        self._end(name, at)

    def _end(self, name: str, at: float) -> None:
        one = self.known[name]
        if one.alert.state == "pending" or (one.alert.resolved_at is not None and at - one.alert.resolved_at > RESOLVED_FOR):
            del self.known[name]
        elif one.alert.state == "firing":
            self.known[name] = Tracked(one.alert.replace(state="resolved", resolved_at=at), one.series)


def listed(known: Iterable[Tracked]) -> list[Alert]:
    """Return alerts, the firing ones first, then by rule and labels."""
    rank = {"firing": 0, "pending": 1, "resolved": 2}
    return sorted((one.alert for one in known), key=lambda a: (rank[a.state], a.rule, sorted(a.labels.items())))


__all__ = ["RESOLVED_FOR", "AlertStates", "Tracked", "fingerprint_of", "listed"]
