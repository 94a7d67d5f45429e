"""Since when groups are imbalanced, in the state database, so that all processes that balance them agree."""

from __future__ import annotations

from novacron.store.base import Store

FORGOTTEN = 86400.0
"""Seconds after which an earlier look says nothing about the time in between."""


class ImbalanceStore(Store):
    """Notes at each look whether a group is imbalanced."""

    def note(self, group: str, *, imbalanced: bool) -> float:
        """Note what was seen now.

        Returns:
            Seconds for which the group was imbalanced at every look; 0 if it is not imbalanced, or was looked at for the first time in
            a day.
        """
        import sqlalchemy as sa

        from novacron.store.database import clock
        from novacron.store.macs import insert_of
        from novacron.store.tables import group_imbalances as t

        row = t.c.name == group
        with self.transaction() as connection:
            if not imbalanced:
                connection.execute(t.delete().where(row))
                return 0.0
            now = connection.execute(sa.select(clock(connection))).scalar_one()
            first = insert_of(connection.dialect.name)(t).on_conflict_do_nothing()
            connection.execute(first, {"name": group, "since": now, "seen_at": now})
            known = connection.execute(t.select().where(row)).one()
            since = now if now - known.seen_at > FORGOTTEN else min(known.since, now)
            connection.execute(t.update().where(row).values(since=since, seen_at=now))
        return float(now - since)


__all__ = ["ImbalanceStore"]
