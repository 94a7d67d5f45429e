"""Sets the times of rounds right that were stored while the clock was far ahead, after it was set back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from novacron.monitoring.compaction import merged, series_of, table_of
from novacron.monitoring.layouts import SeriesKey, in_order
from novacron.monitoring.packing import pack, unpack
from novacron.monitoring.rollups import Point
from novacron.monitoring.storage import MetricStorage, insert_raw
from novacron.store.tables import metric_chunks, metric_raw, metric_rounds

if TYPE_CHECKING:
    from novacron.store.leases import Lease

LONGEST = 86400.0
"""For how many seconds the clock may have been wrong. Until then nothing was deleted as too old."""
LONGER = 2.0
"""How many times longer than the rounds are ahead the jump before them may be: nothing may have been collected for a while around it."""
PART = 500
"""How many objects are unpacked in one transaction."""

Series = dict[SeriesKey, list[Point]]


class Correction:
    """Gives rounds that are ahead of the clock the times at which they were measured.

    Either the clock was wrong before, or it is wrong now. It was wrong before if the rounds that are ahead begin with a jump that is about
    as long as they are ahead. Otherwise nothing is changed: a clock that went back by mistake must not move the history. A much longer jump
    was rather a time without power or a suspended machine. A machine that saves its clock once an hour is behind after the next such time.

    Each transaction leaves complete rounds, so an interrupted correction can be continued.

    Args:
        storage: the rows.
        now: the time by the clock.
        ahead: by how many seconds the rounds are ahead.
        lease: the right to write; None in tests.
        waiting: the times of rounds that are not stored yet. They count too: without them nothing would show that no jump was before them.
    """

    def __init__(
        self, storage: MetricStorage, now: float, ahead: float, lease: Lease | None = None, waiting: Sequence[float] = ()
    ) -> None:
        self._storage, self._now, self._ahead, self._lease, self._waiting = storage, now, ahead, lease, waiting

    def apply(self) -> bool:
        """Correct the rounds. Return whether rounds may follow the clock from now on.

        Raises:
            BusyError: another process collects now.
            StorageError: the database can't be used.
        """
        last, first, newest = self._ends()
        if first is None or newest is None:
            return True
        if last is None or newest - first > LONGEST or not self._ahead < first - last <= LONGER * self._ahead:
            return False
        self._unpack()
        with self._storage.database.transaction() as connection:
            query = sa.select(metric_rounds.c.at).where(metric_rounds.c.at > self._now).order_by(metric_rounds.c.at)
            times = list(connection.execute(query).scalars())
        for at in times:
            self._move(at)
        return True

    def _ends(self) -> tuple[float | None, float | None, float | None]:
        """Return the times of the last round that is not ahead, and of the first and the last one that are."""
        chunk, at, now = metric_chunks.c, metric_rounds.c.at, self._now
        collected, packed = metric_rounds.c.pushed.is_(False), chunk.resolution == 0
        with self._storage.database.transaction() as connection:

            def found(value: Any, *conditions: Any) -> list[float]:
                one = connection.execute(sa.select(value).where(*conditions)).scalar_one_or_none()
                return [] if one is None else [float(one)]

            before = found(sa.func.max(at), at <= now, collected) + found(sa.func.max(chunk.end), chunk.end <= now, packed)
            after = found(sa.func.min(at), at > now) + found(sa.func.min(chunk.start), chunk.start > now, packed)
            newest = found(sa.func.max(at), at > now) + found(sa.func.max(chunk.end), chunk.end > now, packed)
            both = sa.select(chunk.data).where(packed, chunk.start <= now, chunk.end > now).limit(1)  # within one hour
            for data in connection.execute(both).scalars():
                times, _ = unpack(data)
                before.append(max(time for time in times if time <= now))
                after.append(min(time for time in times if time > now))
        before += [time for time in self._waiting if time <= now]
        ahead = [time for time in self._waiting if time > now]
        after, newest = after + ahead, newest + ahead
        return max(before, default=None), min(after, default=None), max(newest, default=None)

    def _unpack(self) -> None:
        """Make raw rows of packed values that are ahead. Their roll-ups are made anew when they are packed again."""
        ahead = metric_chunks.c.end > self._now
        with self._storage.database.transaction() as connection:
            numbers = sorted(connection.execute(sa.select(metric_chunks.c.object).where(ahead).distinct()).scalars())
        for start in range(0, len(numbers), PART):
            ours = ahead & metric_chunks.c.object.in_(numbers[start : start + PART])
            with self._storage.database.transaction() as connection:
                self._check(connection)
                rows = connection.execute(metric_chunks.select().where(ours)).all()
                connection.execute(metric_chunks.delete().where(ours))
                self._split(connection, rows)

    def _split(self, connection: sa.Connection, rows: Iterable[Any]) -> None:
        chunks, raw = list[dict[str, Any]](), dict[int, Series]()
        for row in rows:
            series = series_of(self._storage.layout(connection, row.layout), row.data)
            kept = _some(series, lambda at: at <= self._now)
            if kept:
                keys, times, columns = table_of(kept)
                layout = self._storage.layout_id(connection, self._storage.layouts.of(keys))
                chunks.append(
                    {"object": row.object, "resolution": row.resolution, "start": times[0], "end": times[-1]}
                    | {"layout": layout, "data": pack(times, columns)}
                )
            if row.resolution == 0:
                raw[row.object] = merged(raw.get(row.object, {}), _some(series, lambda at: at > self._now))
        if chunks:
            connection.execute(metric_chunks.insert(), chunks)
        for number, series in raw.items():
            for at, values in _by_time(series).items():
                keys, numbers = in_order(values)
                layout = self._storage.layout_id(connection, self._storage.layouts.of(keys))
                insert_raw(connection, at, number, layout, numbers)

    def _move(self, at: float) -> None:
        target = at - self._ahead
        with self._storage.database.transaction() as connection:
            self._check(connection)
            while connection.execute(sa.select(metric_rounds.c.at).where(metric_rounds.c.at == target)).first():
                target = math.nextafter(target, math.inf)  # a script stored a value at the very same time
            connection.execute(metric_raw.update().where(metric_raw.c.at == at).values(at=target))
            connection.execute(metric_rounds.update().where(metric_rounds.c.at == at).values(at=target))

    def _check(self, connection: sa.Connection) -> None:
        if self._lease is not None:
            self._lease.check(connection)


def _some(series: Mapping[SeriesKey, list[Point]], wanted: Any) -> Series:
    found = {key: [point for point in points if wanted(point[0])] for key, points in series.items()}
    return {key: points for key, points in found.items() if points}


def _by_time(series: Series) -> dict[float, dict[SeriesKey, float]]:
    found: dict[float, dict[SeriesKey, float]] = {}
    for key, points in series.items():
        for at, value in points:
            found.setdefault(at, {})[key] = value
    return found


__all__ = ["Correction"]
