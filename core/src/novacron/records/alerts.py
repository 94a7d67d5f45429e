"""Alerts and the notifications about them."""

from __future__ import annotations

from typing import Literal

import msgspec

from novacron.records.record import Record

AlertState = Literal["pending", "firing", "resolved"]


class Alert(Record, frozen=True):
    """An alert: one rule that holds for one set of labels. Times are in seconds since 1970.

    `fingerprint` identifies the alert; it stays the same as long as rule and labels do. `silenced_by` is the id of the silence that
    covers it, `inhibited_by` the rule of the alert that makes it redundant.
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

    `key` identifies the notification. It is the same if the notification is sent again after an interruption, so a receiver can ignore
    doubles. `status` is "firing" if any of the alerts is, otherwise "resolved".
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
