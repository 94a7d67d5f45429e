"""Reads the history of metrics: samples, and roll-ups where samples are no longer kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import sqlalchemy as sa

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.monitoring.builtin import kind_of
from novacron.monitoring.compaction import DAY, FIELDS, HOUR, merged, series_of, unrolled
from novacron.monitoring.layouts import Layout, SeriesKey, is_counter
from novacron.monitoring.rollups import Point, RollUp, combine, increases, rates, roll_up, step_of
from novacron.monitoring.storage import MetricStorage, doubles
from novacron.records.series import MetricDefinition, Series
from novacron.store.tables import metric_chunks, metric_layouts, metric_raw, metric_rounds

Shown = Literal["value", "average", "minimum", "maximum", "last", "count", "rate", "increase"]
"""What of a series is returned: gauges are averaged, counters become rates, unless something else is asked for."""
SHOWN = ("value", "average", "minimum", "maximum", "last", "count", "rate", "increase")


FEW = 50
"""From how many objects on it is looked up first which of them have a metric. Those of VMs, hosts and pools all have the same ones."""


class History:
    """The stored values of all series.

    Args:
        storage: the rows.
        definitions: the known metrics, for their units.
    """

    def __init__(self, storage: MetricStorage, definitions: Mapping[str, MetricDefinition]) -> None:
        self._storage, self._definitions = storage, definitions

    def query(
        self,
        metric: str,
        *,
        labels: Mapping[str, str] | None = None,
        since: float,
        until: float,
        age: float,
        step: float | None = None,
        show: Shown | None = None,
        limit: int = 10_000,
    ) -> list[Series]:
        """Return the series of a metric; see `FleetMetrics.query`."""
        if show is not None and show not in SHOWN:
            raise InvalidSpecError("can't show that", problems=[SpecProblem("show", show, "one of " + ", ".join(SHOWN))])
        shown: Shown = show or ("rate" if is_counter(metric) else "average")
        keys = self._keys(metric)
        wanted = dict(labels or {})
        resolution = _resolution(age, until - since, step)
        found = []
        objects = self._objects(metric, wanted, keys)
        if len(objects) > FEW and kind_of(metric) == "custom":
            having = self._having(metric, objects, since - 2 * HOUR - 2 * (step or 0.0), until)
            objects = [one for one in objects if one[0] in having]
        for number, common in objects:
            for key, points in self._series(number, keys, since, until, resolution, step, shown).items():
                named = {**common, **dict(key.labels)}
                if points and wanted.items() <= named.items():
                    found.append(Series(metric=metric, labels=named, points=tuple(points), unit=self._unit(metric, shown)))
            if len(found) > limit:
                problem = SpecProblem("labels", str(wanted), f"labels that at most {limit} series have")
                raise InvalidSpecError(f"more than {limit} series of {metric!r}", problems=[problem])
        return sorted(found, key=lambda one: sorted(one.labels.items()))

    def samples(self, number: int, keys: Iterable[SeriesKey], since: float, until: float) -> dict[SeriesKey, list[Point]]:
        """Return the stored samples of an object after `since` and until `until`, oldest first.

        Raw rows are read first. Those that are packed before the chunks are read are in both then, and otherwise would be in neither.
        """
        raw = self._raw(number, set(keys), since, until)
        return merged(self._chunks(number, set(keys), 0, since, until), raw)

    def _keys(self, metric: str) -> set[SeriesKey]:
        with self._storage.database.reading() as connection:
            query = sa.select(metric_layouts.c.id)
            layouts = [self._storage.layout(connection, number) for number in connection.execute(query).scalars().all()]
        return {key for layout in layouts for key in layout.series if key.metric == metric and not _field(key)}

    def _objects(self, metric: str, wanted: Mapping[str, str], keys: set[SeriesKey]) -> list[tuple[int, dict[str, str]]]:
        kind = kind_of(metric)
        own = {name for key in keys for name, _ in key.labels}
        first = {name: value for name, value in wanted.items() if name not in own}
        objects = self._storage.objects(kind, first.get("vm") if kind == "vm" else None)
        return [(number, dict(labels)) for number, (_, _, labels) in objects.items() if first.items() <= dict(labels).items()]

    def _having(self, metric: str, objects: Iterable[tuple[int, object]], since: float, until: float) -> set[int]:
        """Return the ids of the objects that have values of a metric in this time, perhaps with further ids.

        Raw rows are read first, as in `samples`.
        """
        numbers = [number for number, _ in objects]
        chunk, raw, first, last = metric_chunks.c, metric_raw.c, min(numbers), max(numbers)
        times = sa.select(metric_rounds.c.at).where(metric_rounds.c.at > since, metric_rounds.c.at <= until)
        with self._storage.database.reading() as connection:
            known = connection.execute(sa.select(metric_layouts.c.id)).scalars().all()
            layouts = [one for one in known if any(key.metric == metric for key in self._storage.layout(connection, one).series)]
            packed = sa.select(chunk.object).distinct()
            packed = packed.where(chunk.object.between(first, last), chunk.layout.in_(layouts), chunk.end > since)
            unpacked = sa.select(raw.object).distinct()
            unpacked = unpacked.where(raw.at.in_(times), raw.object.between(first, last), raw.layout.in_(layouts))
            having = set(connection.execute(unpacked).scalars())
            return having | set(connection.execute(packed).scalars())

    def _series(
        self, number: int, keys: set[SeriesKey], since: float, until: float, resolution: int, step: float | None, shown: Shown
    ) -> dict[SeriesKey, list[Point]]:
        before = max(step or 0.0, float(resolution), 120.0)  # one more step, from which the first rate is counted
        points = self.samples(number, keys, since - before, until) if resolution == 0 else {}
        found = {}
        for key in keys:
            if resolution == 0 and step is None:
                shaped = _shaped(points.get(key, []), shown)
            else:
                own = points.get(key, []) if resolution == 0 else None
                rows = (
                    roll_up(own, step or 60.0)
                    if own is not None
                    else self._rolled(number, key, since - before, until, resolution)
                )
                width = step or float(resolution)
                rows = combine(rows, width) if width > resolution else rows
                shaped = _shaped_rollups(rows, shown, self._ends(number, key, rows, width, until) if shown == "rate" else {})
            found[key] = [(at, value) for at, value in shaped if since <= at <= until]
        return found

    def _ends(self, number: int, key: SeriesKey, rows: Sequence[RollUp], width: float, until: float) -> dict[float, float]:
        """Return the times of the last samples of the last two steps, by the start of the step, if the last step is not over yet.

        Its rate is that of the time that has passed. Otherwise each chart would end with a rate that falls.
        """
        if len(rows) < 2 or rows[-1].start + width <= until:
            return {}
        points = self.samples(number, {key}, rows[-2].start - 1e-6, until).get(key, [])
        last = {step_of(at, width): at for at, _ in points}
        return {start: at for start, at in last.items() if len(last) > 1 and start in (rows[-2].start, rows[-1].start)}

    def _rolled(self, number: int, key: SeriesKey, since: float, until: float, resolution: int) -> list[RollUp]:
        """Return roll-ups: stored ones, and those of raw rows that are not packed yet."""
        fields = {SeriesKey(key.metric, (("", field), *key.labels)) for field in FIELDS}
        raw = roll_up(self._raw(number, {key}, step_of(since, resolution) - 1e-6, until).get(key, []), resolution)
        stored = unrolled(key, self._chunks(number, fields, resolution, since, until))
        both = {one.start: one for one in stored}
        for one in raw:
            if one.start in both:  # samples that came after their hour was packed
                everything = self.samples(number, {key}, one.start - 1e-6, one.start + resolution - 1e-6)
                both[one.start] = roll_up(everything[key], resolution)[0]
            else:
                both[one.start] = one
        return [both[start] for start in sorted(both)]

    def _chunks(
        self, number: int, keys: set[SeriesKey], resolution: int, since: float, until: float
    ) -> dict[SeriesKey, list[Point]]:
        chunk = metric_chunks.c
        query = metric_chunks.select().where(
            chunk.object == number, chunk.resolution == resolution, chunk.start <= until, chunk.end > since
        )
        found: dict[SeriesKey, list[Point]] = {}
        with self._storage.database.reading() as connection:
            rows = [
                (self._storage.layout(connection, row.layout), row.data)
                for row in connection.execute(query.order_by(chunk.start))
            ]
        for layout, data in rows:
            wanted = sorted(place for key in keys if (place := layout.index.get(key)) is not None)
            if wanted:
                for key, points in series_of(layout, data, wanted).items():
                    found.setdefault(key, []).extend(points)
        return {key: sorted([point for point in points if since < point[0] <= until]) for key, points in found.items()}

    def _raw(self, number: int, keys: set[SeriesKey], since: float, until: float) -> dict[SeriesKey, list[Point]]:
        times = sa.select(metric_rounds.c.at).where(metric_rounds.c.at > since, metric_rounds.c.at <= until)
        query = metric_raw.select().where(metric_raw.c.at.in_(times), metric_raw.c.object == number).order_by(metric_raw.c.at)
        with self._storage.database.reading() as connection:
            rows = [(row.at, self._storage.layout(connection, row.layout), row.data) for row in connection.execute(query)]
        found: dict[SeriesKey, list[Point]] = {}
        for at, layout, data in rows:
            _add(found, keys, at, layout, data)
        return found

    def _unit(self, metric: str, shown: Shown) -> str:
        unit = self._definitions[metric].unit if metric in self._definitions else ""
        if shown == "count":
            return ""
        return f"{unit}/s" if shown == "rate" else unit


def _add(found: dict[SeriesKey, list[Point]], keys: set[SeriesKey], at: float, layout: Layout, data: bytes) -> None:
    values = doubles(data)
    for key in keys:
        place = layout.index.get(key)
        if place is not None:
            found.setdefault(key, []).append((at, values[place]))


def _field(key: SeriesKey) -> bool:
    """Return whether a series of a layout is a field of a roll-up."""
    return any(name == "" for name, _ in key.labels)


def _resolution(age: float, period: float, step: float | None) -> int:
    """Return which values answer a query: 0 for samples, or the step of roll-ups.

    Samples are kept for two days and 5-minute roll-ups for 30 days, unless the settings say otherwise. Roll-ups are also read if the step
    allows it and the period is long, because that is quicker.
    """
    if age > 30 * DAY:
        return 3600
    if age > 2 * DAY or (step is not None and step % 300 == 0 and period > 6 * HOUR):
        return 300
    return 0


def _shaped(points: list[Point], shown: Shown) -> list[Point]:
    if shown == "rate":
        return rates(points)
    if shown == "increase":
        return increases(points)
    return [(at, 1.0) for at, _ in points] if shown == "count" else points


def _shaped_rollups(rows: list[RollUp], shown: Shown, ends: Mapping[float, float]) -> list[Point]:
    """Return what is asked for of each step.

    Args:
        rows: the steps.
        shown: what is asked for.
        ends: the times of the last samples, by the start of the step, of steps that are not over.
    """
    last = [(one.start, one.last) for one in rows]
    if shown == "rate":
        found = rates(last)
        if len(ends) > 1:
            found[-1:] = [(last[-1][0], rate) for _, rate in rates([(ends[start], value) for start, value in last[-2:]])]
        return found
    if shown == "increase":
        return increases(last)
    field = {"value": "last", "count": "samples"}.get(shown, shown)
    return [(one.start, float(getattr(one, field))) for one in rows]


__all__ = ["SHOWN", "History", "Shown"]
