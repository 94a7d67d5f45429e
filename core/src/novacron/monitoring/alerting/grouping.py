"""Groups alerts into notifications, and decides when one is due: `group_wait`, `group_interval`, `repeat_interval`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from novacron.monitoring.alerting.configuration import Configuration, Inhibition, Route, matches
from novacron.monitoring.alerting.expressions import Matcher
from novacron.records.alerts import Alert, Notification
from novacron.records.record import Record


class Silence(Record, frozen=True):
    """Alerts that fulfil all matchers send no notifications from `starts_at` until `ends_at`, in seconds since 1970."""

    id: str
    matchers: tuple[str, ...]
    starts_at: float
    ends_at: float
    actor: str = ""
    comment: str = ""


class Group(msgspec.Struct, kw_only=True):
    """What was said about a group of alerts.

    Attributes:
        began: when its first alert fired.
        said_at: when the last notification was made, None if none was.
        told: fingerprints of the alerts that the last notification called firing.
        number: how many notifications were made.
    """

    began: float
    said_at: float | None = None
    told: list[str] = msgspec.field(default_factory=list)
    number: int = 0


def muted(
    alerts: Iterable[Alert], silences: Sequence[tuple[Silence, tuple[Matcher, ...]]], configuration: Configuration, at: float
) -> list[Alert]:
    """Return the alerts, each with the silence or the inhibition that covers it."""
    known = list(alerts)
    inhibiting = [_Inhibiting(one, known) for one in configuration.inhibitions]
    current = [(one, matchers) for one, matchers in silences if one.starts_at <= at < one.ends_at]
    found = []
    for alert in known:
        silence = next((one.id for one, matchers in current if matches(matchers, alert.labels)), None)
        source = next((rule for one in inhibiting if (rule := one.source_of(alert)) is not None), None)
        changed = (alert.silenced_by, alert.inhibited_by) != (silence, source)
        found.append(alert.replace(silenced_by=silence, inhibited_by=source) if changed else alert)
    return found


class _Inhibiting:
    """The firing alerts that are sources of an inhibition, by the labels that must be equal. So no alert is compared with all others.

    As in Alertmanager, an alert that is both source and target is not inhibited by alerts that are both, such as itself. Otherwise two
    alerts would inhibit each other, and nobody would be told of either.
    """

    def __init__(self, inhibition: Inhibition, alerts: Iterable[Alert]) -> None:
        self._inhibition = inhibition
        self._sources: dict[tuple[str, ...], str] = {}
        self._sources_only: dict[tuple[str, ...], str] = {}
        for one in alerts:
            if one.state == "firing" and matches(inhibition.source, one.labels):
                key = inhibition.key(one.labels)
                self._sources.setdefault(key, one.rule)
                if not matches(inhibition.target, one.labels):
                    self._sources_only.setdefault(key, one.rule)

    def source_of(self, alert: Alert) -> str | None:
        """Return the rule of an alert that inhibits this one; None if there is none."""
        if not self._sources or not matches(self._inhibition.target, alert.labels):
            return None
        both = matches(self._inhibition.source, alert.labels)
        return (self._sources_only if both else self._sources).get(self._inhibition.key(alert.labels))


def due(
    alerts: Sequence[Alert], groups: Mapping[str, Group], configuration: Configuration, at: float
) -> tuple[list[Notification], dict[str, Group | None]]:
    """Return the notifications that are due, and the groups that changed; None for groups that are over.

    Args:
        alerts: all alerts, with their silences and inhibitions.
        groups: what was said until now, by the groups' keys.
        configuration: routes and receivers.
        at: the time.
    """
    members: dict[str, tuple[Route, dict[str, str], list[Alert]]] = {}
    for alert in alerts:
        if alert.state == "pending":
            continue
        route = configuration.route(alert.labels)
        labels = {name: alert.labels[name] for name in route.group_by if name in alert.labels}
        members.setdefault(_key(route, labels), (route, labels, []))[2].append(alert)
    notifications: list[Notification] = []
    changed: dict[str, Group | None] = {}
    for key, (route, labels, some) in members.items():
        group = groups.get(key)
        notification, now = _group(key, route, labels, some, group, at)
        if notification is not None:
            notifications.append(notification)
        if now != group:
            changed[key] = now
    return notifications, changed | {key: None for key in groups if key not in members}


def _group(
    key: str, route: Route, labels: Mapping[str, str], alerts: Sequence[Alert], group: Group | None, at: float
) -> tuple[Notification | None, Group | None]:
    heard = [one for one in alerts if one.silenced_by is None and one.inhibited_by is None]
    firing = {one.fingerprint for one in heard if one.state == "firing"}
    still = {one.fingerprint for one in alerts if one.state == "firing"}
    told = set(group.told) if group is not None else set()
    resolved = told - still
    if not firing and not resolved:
        return None, group if told & still else None
    now = Group(began=at) if group is None else msgspec.structs.replace(group)
    if not _is_due(now, route, firing - told or resolved, at):
        return None, now
    now.number, now.said_at = now.number + 1, at
    shown = [one for one in heard if one.fingerprint in firing] + [one for one in alerts if one.fingerprint in resolved]
    now.told = sorted(firing | (told & still))
    notification = Notification(
        key=f"{key}-{int(now.began * 1000):x}-{now.number}",
        group=key,
        status="firing" if firing else "resolved",
        receiver=route.receiver,
        at=at,
        labels=dict(labels),
        alerts=tuple(shown),
    )
    return notification, now


def _is_due(group: Group, route: Route, news: Any, at: float) -> bool:
    if group.said_at is None:
        return at >= group.began + route.group_wait
    return at >= group.said_at + (route.group_interval if news else route.repeat_interval)


def _key(route: Route, labels: Mapping[str, str]) -> str:
    matchers = [[one.label, one.sign, one.value] for one in route.matchers]
    return hashlib.sha256(json.dumps([route.receiver, matchers, sorted(labels.items())]).encode()).hexdigest()[:32]


__all__ = ["Group", "Silence", "due", "muted"]
