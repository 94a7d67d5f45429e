"""Alerts and the notifications about them."""

from __future__ import annotations

from typing import Literal

import msgspec

from novacron.records.record import Record

AlertState = Literal["pending", "firing", "resolved"]


class Alert(Record, frozen=True):
    """An alert: one rule that holds for one set of labels.

    Attributes:
        fingerprint: Identifies the alert. It stays the same as long as rule and labels do.
        rule: Name of the rule.
        state: "pending" (the condition holds, but not long enough yet), "firing" or "resolved".
        labels: Labels of the alert: those of its series and those of the rule.
        annotations: Texts for people, such as `summary` and `description`.
        value: Value of the rule's expression, in the unit of its metric; None if there is none.
        active_since: When the condition began to hold, in seconds since 1970.
        fired_at: When the alert began to fire, in seconds since 1970; None if it has not.
        resolved_at: When the condition ended, in seconds since 1970; None while it holds.
        silenced_by: Id of the silence that covers the alert; None without one.
        inhibited_by: Rule of the alert that makes this one redundant; None without one.
    """

    fingerprint: str
    rule: str
    state: AlertState
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    value: float | None = None
    active_since: float = 0.0
    fired_at: float | None = None
    resolved_at: float | None = None
    silenced_by: str | None = None
    inhibited_by: str | None = None


class Notification(Record, frozen=True):
    """What a sink sends: the alerts of one group at one time.

    Attributes:
        key: Identifies the notification. It is the same if the notification is sent again after an interruption, so a receiver
            can ignore duplicates.
        group: Identifies the group of alerts.
        status: "firing" if any of the alerts is firing, otherwise "resolved".
        receiver: Name of the receiver that the notification goes to.
        at: When it was made, in seconds since 1970.
        labels: Labels that all its alerts have in common.
        alerts: The alerts of the group.
    """

    key: str
    group: str
    status: Literal["firing", "resolved"]
    receiver: str
    at: float
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()

    @property
    def title(self) -> str:
        """One line for people.

        Example:
            >>> Notification(key="1", group="g", status="resolved", receiver="log", at=0.0, labels={"alertname": "HostDown"}).title
            '[resolved] HostDown (0)'
        """
        named = self.labels.get("alertname") or ", ".join(sorted({a.rule for a in self.alerts})) or "alerts"
        return f"[{self.status}] {named} ({sum(a.state == self.status for a in self.alerts)})"

    @property
    def text(self) -> str:
        """The notification for people, one line for each alert."""
        lines = [self.title]
        for alert in self.alerts:
            what = alert.annotations.get("summary") or alert.rule
            lines.append(f"{alert.state}: {what}")
            if alert.annotations.get("description"):
                lines.append(f"  {alert.annotations['description']}")
        return "\n".join(lines)


__all__ = ["Alert", "AlertState", "Notification"]
