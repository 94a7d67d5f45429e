"""Alerts in the state database: rules, states, groups, silences, and the outbox of notifications."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from novacron.conversion import convert
from novacron.errors import NotFoundError, StorageError
from novacron.monitoring.alerting.grouping import Group, Silence
from novacron.monitoring.alerting.states import Tracked
from novacron.records.alerts import Notification
from novacron.store.base import Store
from novacron.store.leases import Lease
from novacron.store.tables import alert_files, alert_groups, alert_outbox, alert_silences, alert_states

KEPT = 7 * 86400.0
"""Seconds that delivered notifications and ended silences stay on record."""
LONGEST_PAUSE = 900.0
"""The longest pause in seconds between two attempts to deliver a notification."""


class Outgoing(msgspec.Struct, frozen=True):
    """A notification that waits for one sink. `attempts` counts those that failed."""

    id: int
    sink: dict[str, Any]
    notification: Notification
    attempts: int
    error: str | None = None


class AlertStorage(Store):
    """Reads and writes alerts."""

    def files(self) -> dict[str, Any]:
        """Return the content of the files that were loaded, by name."""
        with self.transaction() as connection:
            return {row.name: row.content for row in connection.execute(alert_files.select().order_by(alert_files.c.name))}

    def files_with_actors(self) -> dict[str, tuple[Any, str | None]]:
        """Return the content of the files, and who loaded each of them; None if that is not known."""
        with self.transaction() as connection:
            rows = connection.execute(alert_files.select().order_by(alert_files.c.name))
            return {row.name: (row.content, row.actor) for row in rows}

    def save_file(self, name: str, content: Any, actor: str | None = None) -> None:
        """Store a file and who loaded it; one of the same name is replaced."""
        with self.transaction() as connection:
            connection.execute(alert_files.delete().where(alert_files.c.name == name))
            connection.execute(alert_files.insert().values(name=name, content=content, actor=actor))

    def remove_file(self, name: str) -> None:
        """Delete a file. Raises NotFoundError."""
        with self.transaction() as connection:
            if connection.execute(alert_files.delete().where(alert_files.c.name == name)).rowcount == 0:
                raise NotFoundError(f"no rules named {name!r}", resource=name, hint="`novacron alert rules` lists them")

    def states(self) -> dict[str, Tracked]:
        """Return all alerts by fingerprint."""
        with self.transaction() as connection:
            return {row.fingerprint: convert(row.data, Tracked) for row in connection.execute(alert_states.select())}

    def groups(self) -> dict[str, Group]:
        """Return what was said about each group, by key."""
        with self.transaction() as connection:
            return {row.key: convert(row.data, Group) for row in connection.execute(alert_groups.select())}

    def write(
        self,
        states: Mapping[str, Tracked | None],
        groups: Mapping[str, Group | None],
        outgoing: Iterable[tuple[str, dict[str, Any], Notification]],
        *,
        at: float,
        lease: Lease | None,
    ) -> None:
        """Store what changed, and the notifications to send, all or none: no notification is lost or made twice.

        A notification that is stored already is ignored. Another one with the same key gets a key of its own, so that no receiver takes
        it for the one that it knows.

        Args:
            states: the alerts that changed by fingerprint; None for those that are forgotten.
            groups: the groups that changed by key; None for those that are over.
            outgoing: key, sink and notification of each message.
            at: the time.
            lease: the right to decide about alerts.

        Raises:
            BusyError: another process decides about alerts now.
            StorageError: the database can't be used, or another process stored the same at the same time.
        """
        try:
            with self.transaction() as connection:
                if lease is not None:
                    lease.check(connection)
                _replace(connection, alert_states, alert_states.c.fingerprint, states)
                _replace(connection, alert_groups, alert_groups.c.key, groups)
                rows = [
                    {"key": key, "sink": sink, "notification": note.as_dict(), "due_at": at, "attempts": 0}
                    for key, sink, note in _new(connection, outgoing)
                ]
                if rows:
                    connection.execute(alert_outbox.insert(), rows)
                connection.execute(alert_outbox.delete().where(alert_outbox.c.sent_at < at - KEPT))
                connection.execute(alert_silences.delete().where(alert_silences.c.ends_at < at - KEPT))
        except sa.exc.IntegrityError as error:
            raise StorageError("another process stored the same alerts at the same time", hint="it is tried again") from error

    def set_back(self, at: float, lease: Lease | None = None, ahead: float = 0.0) -> None:
        """Replace times that are ahead by `at`, so that nothing waits for them: the clock was ahead when they were stored.

        Args:
            at: the time of the round that is evaluated next.
            lease: the right to decide about alerts.
            ahead: by how many seconds the clock was ahead, 0 if that is not known. Silences then begin and end when they were meant to,
                and those that are over stay so; otherwise they begin now.

        Raises:
            BusyError: another process decides about alerts now.
        """
        states, groups = {}, {}
        for name, one in self.states().items():
            alert = one.alert.replace(
                active_since=min(one.alert.active_since, at),
                fired_at=_until(one.alert.fired_at, at),
                resolved_at=_until(one.alert.resolved_at, at),
            )
            if (right := Tracked(alert, one.series, _until(one.kept_since, at))) != one:
                states[name] = right
        for key, group in self.groups().items():
            began = group.began if group.said_at is not None else min(group.began, at)  # later it is part of the keys
            if (set_right := msgspec.structs.replace(group, began=began, said_at=_until(group.said_at, at))) != group:
                groups[key] = set_right
        with self.transaction() as connection:
            if lease is not None:
                lease.check(connection)
            _replace(connection, alert_states, alert_states.c.fingerprint, states)
            _replace(connection, alert_groups, alert_groups.c.key, groups)
            late = alert_outbox.c.sent_at.is_(None) & (alert_outbox.c.due_at > at + LONGEST_PAUSE)
            connection.execute(alert_outbox.update().where(late).values(due_at=at))
            silence = alert_silences.c
            begin = silence.starts_at - ahead if ahead else at
            times = {"starts_at": begin, "ends_at": silence.ends_at - silence.starts_at + begin}
            wrong = silence.starts_at > at + (0.0 if ahead else LONGEST_PAUSE)
            connection.execute(alert_silences.update().where(wrong).values(**times))

    def waiting(self, until: float | None = None) -> list[Outgoing]:
        """Return the notifications that were not delivered yet, oldest first; those that are due `until` a time only if given."""
        query = alert_outbox.select().where(alert_outbox.c.sent_at.is_(None)).order_by(alert_outbox.c.id)
        if until is not None:
            query = query.where(alert_outbox.c.due_at <= until)
        with self.transaction() as connection:
            return [
                Outgoing(row.id, row.sink, convert(row.notification, Notification), row.attempts, row.error)
                for row in connection.execute(query)
            ]

    def delivered(self, one: Outgoing, at: float) -> None:
        """Record that a sink has accepted a notification."""
        with self.transaction() as connection:
            connection.execute(alert_outbox.update().where(alert_outbox.c.id == one.id).values(sent_at=at, error=None))

    def failed(self, one: Outgoing, at: float, error: str) -> None:
        """Record that a sink has not accepted a notification; the pause before the next attempt grows."""
        pause = min(LONGEST_PAUSE, 5.0 * 2.0 ** min(one.attempts, 10))
        values = {"attempts": one.attempts + 1, "due_at": at + pause, "error": error[:2000]}
        with self.transaction() as connection:
            connection.execute(alert_outbox.update().where(alert_outbox.c.id == one.id).values(**values))

    def silences(self) -> list[Silence]:
        """Return the silences, those that end first first."""
        with self.transaction() as connection:
            rows = connection.execute(alert_silences.select().order_by(alert_silences.c.ends_at)).all()
        return [
            Silence(
                id=row.id,
                matchers=tuple(row.matchers),
                starts_at=row.starts_at,
                ends_at=row.ends_at,
                actor=row.actor,
                comment=row.comment,
            )
            for row in rows
        ]

    def save_silence(self, silence: Silence) -> None:
        """Store a silence."""
        values = silence.as_dict() | {"matchers": list(silence.matchers)}
        with self.transaction() as connection:
            connection.execute(alert_silences.insert().values(**values))

    def end_silence(self, identity: str, at: float) -> None:
        """End a silence now. Raises NotFoundError."""
        ours = (alert_silences.c.id == identity) & (alert_silences.c.ends_at > at)
        with self.transaction() as connection:
            if connection.execute(alert_silences.update().where(ours).values(ends_at=at)).rowcount == 0:
                raise NotFoundError(f"no silence {identity!r}", resource=identity, hint="`novacron alert silences` lists them")


def _until(time: float | None, at: float) -> float | None:
    return None if time is None else min(time, at)


def _new(
    connection: sa.Connection, outgoing: Iterable[tuple[str, dict[str, Any], Notification]]
) -> Iterable[tuple[str, dict[str, Any], Notification]]:
    """Return the notifications that are not stored yet, each with a key that no other one has."""
    found: dict[str, tuple[dict[str, Any], Notification]] = {}
    for key, sink, note in outgoing:
        query = sa.select(alert_outbox.c.notification).where(alert_outbox.c.key == key)
        row = connection.execute(query).first()
        known = found[key][1] if key in found else None if row is None else convert(row.notification, Notification)
        if known is None:
            found[key] = (sink, note)
        elif known != note:
            more = secrets.token_hex(4)
            found[f"{key}-{more}"] = (sink, note.replace(key=f"{note.key}-{more}"))
    return [(key, *one) for key, one in found.items()]


def _replace(connection: sa.Connection, table: sa.Table, column: sa.Column[Any], rows: Mapping[str, Any]) -> None:
    keys = list(rows)
    for start in range(0, len(keys), 500):
        connection.execute(table.delete().where(column.in_(keys[start : start + 500])))
    new = [{column.name: key, "data": msgspec.to_builtins(row)} for key, row in rows.items() if row is not None]
    if new:
        connection.execute(table.insert(), new)


__all__ = ["AlertStorage", "Outgoing"]
