"""Makes old metrics small: packs raw rows into chunks of an hour, makes roll-ups, and deletes what is older than wanted.

The work is spread over the rounds of the collector, a part of the objects in each. An interrupted part is done again: it reads what is
stored, adds the raw rows and writes the hour anew, in one transaction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from novacron.monitoring.layouts import Layout, SeriesKey, in_order
from novacron.monitoring.packing import pack, unpack
from novacron.monitoring.rollups import Point, RollUp, roll_up, step_of
from novacron.monitoring.storage import MetricStorage
from novacron.store.tables import metric_chunks, metric_counters, metric_objects, metric_raw, metric_rounds

if TYPE_CHECKING:
    from array import array

    from novacron.store.leases import Lease

HOUR, DAY = 3600.0, 86400.0
ROLLUPS = (300, 3600)
"""The steps of roll-ups, in seconds."""
FIELDS = ("minimum", "average", "maximum", "last", "samples")
STEADY = DAY
"""For how many seconds values must have been stored before old ones are deleted."""
PART = 1500
"""How many objects are packed at a time."""
SETTINGS = {0: "metrics_days", 300: "metrics_5m_days", 3600: "metrics_1h_days"}
"""The setting that says how many days values of a resolution are kept."""


class Part(NamedTuple):
    """Work: pack an hour, or join the roll-ups of a day, of the objects with ids from `first` to `last`."""

    kind: str
    start: float
    first: int
    last: int


class Compaction:
    """Packs and deletes old metrics.

    Args:
        storage: the rows.
        settings: the fleet's settings, which say how long values are kept.
        lease: the right to write, checked in each transaction; None in tests.
    """

    def __init__(self, storage: MetricStorage, settings: Mapping[str, int], lease: Lease | None = None) -> None:
        self._storage, self._settings, self._lease = storage, settings, lease
        self._parts: list[Part] = []
        self._planned: float | None = None

    def step(self, now: float, interval: float = 60.0) -> int:
        """Do the part of the work that is due after a round, so that an hour's work is done within half an hour.

        Args:
            now: the time of the round.
            interval: seconds between two rounds.

        Returns:
            How many parts were done.
        """
        hour = step_of(now, HOUR)
        if self._planned != hour:
            self._parts, self._planned = self._plan(hour), hour
            self.expire(now)
        share = math.ceil(len(self._parts) / max(1.0, HOUR / 2 / interval))
        for part in self._parts[:share]:
            self._do(part)
        del self._parts[:share]
        return share

    def finish(self, now: float) -> None:
        """Do all the work that is due: for tests and before an export."""
        self._parts, self._planned = self._plan(step_of(now, HOUR)), step_of(now, HOUR)
        for part in self._parts:
            self._do(part)
        self._parts = []
        self.expire(now)

    def expire(self, now: float) -> None:
        """Delete values that are older than the settings say, and objects that have no values any more.

        Values are deleted only if there are some from a day ago. If the clock went far ahead, everything is old by it; for a day it can
        be set right before anything is lost.
        """
        with self._storage.database.transaction() as connection:
            self._check(connection)
            for resolution, setting in SETTINGS.items() if self._is_steady(connection, now) else ():
                until = now - self._settings[setting] * DAY
                old = (metric_chunks.c.resolution == resolution) & (metric_chunks.c.end < until)
                connection.execute(metric_chunks.delete().where(old))
            times = metric_rounds.c.at < step_of(now, HOUR)
            left = sa.exists().where(metric_raw.c.at == metric_rounds.c.at)
            connection.execute(metric_rounds.delete().where(times, ~left))
            numbers = self._without_values(connection)
            for start in range(0, len(numbers), 500):
                some = numbers[start : start + 500]
                connection.execute(metric_counters.delete().where(metric_counters.c.object.in_(some)))
                connection.execute(metric_objects.delete().where(metric_objects.c.id.in_(some)))
        self._storage.forget(numbers)

    def _is_steady(self, connection: sa.Connection, now: float) -> bool:
        """Return whether values of about a day ago are stored."""
        near = metric_chunks.c.end.between(now - STEADY - HOUR, now - STEADY + HOUR)
        return connection.execute(sa.select(metric_chunks.c.end).where(near).limit(1)).first() is not None

    def _without_values(self, connection: sa.Connection) -> list[int]:
        """Return the objects that have neither chunks nor raw rows.

        Raw rows are ordered by time, so an object can't be looked up in them. The rounds are read instead, the newest first: it has
        nearly all objects that have no chunks yet.
        """
        packed = sa.exists().where(metric_chunks.c.object == metric_objects.c.id)
        left = set(connection.execute(sa.select(metric_objects.c.id).where(~packed)).scalars())
        rounds = connection.execute(sa.select(metric_rounds.c.at).order_by(metric_rounds.c.at.desc())).scalars().all()
        for at in rounds:
            if not left:
                break
            query = sa.select(metric_raw.c.object).where(metric_raw.c.at == at)
            left.difference_update(connection.execute(query.where(metric_raw.c.object.between(min(left), max(left)))).scalars())
        return sorted(left)

    def _plan(self, hour: float) -> list[Part]:
        with self._storage.database.transaction() as connection:
            times = connection.execute(sa.select(metric_rounds.c.at).where(metric_rounds.c.at < hour)).scalars()
            hours = sorted({step_of(at, HOUR) for at in times})
            largest = connection.execute(sa.select(sa.func.max(metric_objects.c.id))).scalar_one_or_none() or 0
            day = step_of(hour, DAY)
            unjoined = sa.select(metric_chunks.c.start).where(
                metric_chunks.c.resolution == 3600,
                metric_chunks.c.start < day,
                metric_chunks.c.end - metric_chunks.c.start < HOUR,
            )
            days = sorted({step_of(at, DAY) for at in connection.execute(unjoined).scalars()})
        ranges = [(first, first + PART - 1) for first in range(1, largest + 1, PART)]
        packing = [Part("hour", start, *ids) for start in hours for ids in ranges]
        return packing + [Part("day", start, *ids) for start in days for ids in ranges]

    def _do(self, part: Part) -> None:
        if part.kind == "hour":
            self._pack_hour(part)
        else:
            for resolution in ROLLUPS:
                self._join_day(part, resolution)

    def _pack_hour(self, part: Part) -> None:
        until = part.start + HOUR
        ours = (metric_raw.c.object >= part.first) & (metric_raw.c.object <= part.last)
        with self._storage.database.transaction() as connection:
            self._check(connection)
            times = connection.execute(
                sa.select(metric_rounds.c.at).where(metric_rounds.c.at >= part.start, metric_rounds.c.at < until)
            )
            known = sorted(times.scalars())
            rows = []
            for at in known:
                found = connection.execute(metric_raw.select().where(metric_raw.c.at == at, ours))
                rows += [(row.at, row.object, self._storage.layout(connection, row.layout), row.data) for row in found]
            if not rows:
                return
            objects: dict[int, list[tuple[float, Layout, bytes]]] = {}
            for at, number, layout, data in rows:
                objects.setdefault(number, []).append((at, layout, data))
            again = self._packed_before(connection, part, until) & set(objects)
            stored = self._take(connection, again, part.start, until)
            chunks = []
            for number, values in objects.items():
                samples = merged(stored.get((number, 0), {}), columns_of(values))
                chunks.append(self._chunk(connection, number, 0, samples))
                for resolution in ROLLUPS:
                    rollups = merged(stored.get((number, resolution), {}), rolled(samples, resolution))
                    chunks.append(self._chunk(connection, number, resolution, rollups))
            for start in range(0, len(chunks), 1000):
                connection.execute(metric_chunks.insert(), chunks[start : start + 1000])
            for at in known:
                connection.execute(metric_raw.delete().where(metric_raw.c.at == at, ours))

    def _packed_before(self, connection: sa.Connection, part: Part, until: float) -> set[int]:
        """Return the objects whose hour is packed already: they have late samples, or an earlier attempt was interrupted."""
        chunk = metric_chunks.c
        query = sa.select(chunk.object).where(chunk.resolution == 0, chunk.end >= part.start, chunk.end < until)
        return set(connection.execute(query.where(chunk.object >= part.first, chunk.object <= part.last)).scalars())

    def _take(
        self, connection: sa.Connection, numbers: Iterable[int], start: float, until: float
    ) -> dict[tuple[int, int], dict[SeriesKey, list[Point]]]:
        """Return the chunks of objects that have values of a time, by object and resolution, and delete them: they are written anew."""
        found: dict[tuple[int, int], dict[SeriesKey, list[Point]]] = {}
        for number in numbers:
            chunk = metric_chunks.c
            ours = (chunk.object == number) & (chunk.start < until) & (chunk.end >= start)
            for row in connection.execute(metric_chunks.select().where(ours)).all():
                series = series_of(self._storage.layout(connection, row.layout), row.data)
                name = (number, row.resolution)
                found[name] = merged(found.get(name, {}), series)
            connection.execute(metric_chunks.delete().where(ours))
        return found

    def _chunk(
        self, connection: sa.Connection, number: int, resolution: int, series: dict[SeriesKey, list[Point]]
    ) -> dict[str, object]:
        keys, times, columns = table_of(series)
        layout = self._storage.layout_id(connection, self._storage.layouts.of(keys))
        return {
            "object": number,
            "resolution": resolution,
            "start": times[0],
            "end": times[-1],
            "layout": layout,
            "data": pack(times, columns),
        }

    def _join_day(self, part: Part, resolution: int) -> None:
        """Make one chunk of the roll-ups of a day."""
        until = part.start + DAY
        found: dict[int, dict[SeriesKey, list[Point]]] = {}
        chunk = metric_chunks.c
        ours = [chunk.object >= part.first, chunk.object <= part.last, chunk.resolution == resolution]
        ours += [chunk.start >= part.start, chunk.start < until]
        with self._storage.database.transaction() as connection:
            self._check(connection)
            for row in connection.execute(metric_chunks.select().where(*ours)).all():
                series = series_of(self._storage.layout(connection, row.layout), row.data)
                found[row.object] = merged(found.get(row.object, {}), series)
            connection.execute(metric_chunks.delete().where(*ours))
            rows = [self._chunk(connection, number, resolution, series) for number, series in found.items()]
            if rows:
                connection.execute(metric_chunks.insert(), rows)

    def _check(self, connection: sa.Connection) -> None:
        if self._lease is not None:
            self._lease.check(connection)


def columns_of(rows: Iterable[tuple[float, Layout, bytes]]) -> dict[SeriesKey, list[Point]]:
    """Return the series of raw rows."""
    from novacron.monitoring.storage import doubles

    found: dict[SeriesKey, list[Point]] = {}
    for at, layout, data in rows:
        values: array[float] = doubles(data)
        for key, value in zip(layout.series, values, strict=True):
            found.setdefault(key, []).append((at, value))
    return found


def series_of(layout: Layout, data: bytes, wanted: Sequence[int] | None = None) -> dict[SeriesKey, list[Point]]:
    """Return the series of a chunk; those at the `wanted` places only if given. Missing values are left out."""
    times, columns = unpack(data, wanted)
    keys = layout.series if wanted is None else [layout.series[place] for place in wanted]
    return {
        key: [(at, value) for at, value in zip(times, column, strict=True) if value == value]
        for key, column in zip(keys, columns, strict=True)
    }


def merged(one: dict[SeriesKey, list[Point]], other: dict[SeriesKey, list[Point]]) -> dict[SeriesKey, list[Point]]:
    """Return the points of both; of two with the same time, the second one's."""
    if not one or not other:
        return one or other
    return {key: sorted({**dict(one.get(key, ())), **dict(other.get(key, ()))}.items()) for key in {**one, **other}}


def table_of(series: dict[SeriesKey, list[Point]]) -> tuple[list[SeriesKey], list[float], list[list[float]]]:
    """Return keys, times and columns; NaN where a series has no value."""
    keys, _ = in_order(dict.fromkeys(series, 0.0))
    times = sorted({at for points in series.values() for at, _ in points})
    if all(len(points) == len(times) for points in series.values()):
        return keys, times, [[value for _, value in series[key]] for key in keys]
    return keys, times, [[known.get(at, math.nan) for at in times] for known in (dict(series[key]) for key in keys)]


def rolled(series: dict[SeriesKey, list[Point]], step: int) -> dict[SeriesKey, list[Point]]:
    """Return the roll-ups of series as series: one for each field, told apart by a label that no metric has."""
    found: dict[SeriesKey, list[Point]] = {}
    for key, points in series.items():
        rows = roll_up(points, step)
        for place, field in enumerate(FIELDS, 1):
            found[SeriesKey(key.metric, (("", field), *key.labels))] = [(row[0], row[place]) for row in rows]
    return found


def unrolled(key: SeriesKey, series: dict[SeriesKey, list[Point]]) -> list[RollUp]:
    """Return the roll-ups of a series that `rolled` returned."""
    fields = [series.get(SeriesKey(key.metric, (("", field), *key.labels)), []) for field in FIELDS]
    return [RollUp(at, *(column[place][1] for column in fields)) for place, (at, _) in enumerate(fields[0])]


__all__ = ["Compaction", "Part", "columns_of", "merged", "rolled", "series_of", "table_of", "unrolled"]
