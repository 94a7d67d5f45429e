"""Samples in memory, in columns: a column has the values of one metric at one time.

A fleet of 100,000 VMs has millions of samples in the window that rules need. An object for each series would cost more than the rules.
Series whose labels have the same names share a table, and each set of labels has a row in it. A column is a list with a value for each row.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from novacron.monitoring.layouts import Labels, Layout, Measured, Round, SeriesKey

Column = list[float | None]
"""One value for each row of a table; None where a series has no value."""
UNUSED_ROWS = 1000
"""How many rows more than twice the used ones a table may have."""


class Table:
    """The sets of labels that have the same names of labels. Each has a row, and rows are only added.

    Attributes:
        names: the names of the labels, sorted.
        rows: the labels of each row.
        index: the row of each set of labels.
    """

    __slots__ = ("checked", "index", "names", "rows")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.rows: list[Labels] = []
        self.index: dict[Labels, int] = {}
        self.checked = 0

    def row(self, labels: Labels) -> int:
        """Return the row of labels. A new row is added for new labels."""
        found = self.index.setdefault(labels, len(self.rows))
        if found == len(self.rows):
            self.rows.append(labels)
        return found


class Columns:
    """The columns of one metric in one table, in the order of their times."""

    __slots__ = ("columns", "newest", "times", "whole_until")

    def __init__(self) -> None:
        self.times: list[float] = []
        self.columns: list[Column] = []
        self.newest: dict[int, float] = {}
        self.whole_until = -math.inf

    def set_value(self, row: int, at: float, value: float) -> None:
        """Set a value. One that is not newer than the last one of its series is ignored."""
        if at <= self.newest.get(row, -math.inf):
            return
        place = bisect_left(self.times, at)
        if at <= self.whole_until and any(row < len(one) and one[row] is not None for one in self.columns[place:]):
            return
        column = self._column(place, at)
        if row >= len(column):
            column.extend([None] * (row + 1 - len(column)))
        column[row] = value
        self.newest[row] = at

    def put(self, rows: Sequence[int], at: float, values: Iterable[float], size: int) -> None:
        """Set the values of many rows at one time.

        Args:
            rows: the rows.
            at: the time.
            values: one value for each row.
            size: how many rows the table has.
        """
        if self.times and at < self.times[-1]:
            for row, value in zip(rows, values, strict=True):
                self.set_value(row, at, value)
            return
        column = self._column(bisect_left(self.times, at), at)
        column.extend([None] * (size - len(column)))
        for row, value in zip(rows, values, strict=True):
            if column[row] is None:
                column[row] = value
        self.whole_until = at

    def _column(self, place: int, at: float) -> Column:
        if place == len(self.times) or self.times[place] != at:
            self.times.insert(place, at)
            self.columns.insert(place, [])
        return self.columns[place]

    def between(self, start: float, end: float, size: int) -> tuple[list[float], list[Column]]:
        """Return the times and columns from `start` to `end`, both included. Each column has `size` rows."""
        places = [place for place, at in enumerate(self.times) if start <= at <= end]
        found = [self.columns[place] for place in places]
        for column in found:
            column.extend([None] * (size - len(column)))
        return [self.times[place] for place in places], found

    def forget(self, before: float) -> None:
        """Drop the columns from before a time."""
        place = bisect_left(self.times, before)
        del self.times[:place], self.columns[:place]

    def used(self) -> set[int]:
        """Return the rows that have a value."""
        return {row for column in self.columns for row, value in enumerate(column) if value is not None}

    def move(self, rows: Sequence[int]) -> None:
        """Renumber the rows: row n has the values of the former row `rows[n]`."""
        self.columns = [[column[row] if row < len(column) else None for row in rows] for column in self.columns]
        self.newest = {new: self.newest[old] for new, old in enumerate(rows) if old in self.newest}


class Samples:
    """The samples that rules need.

    Example:
        >>> samples = Samples()
        >>> samples.add("up", {"host": "a"}, 60.0, 1.0)
        >>> [(table.rows, columns.columns) for table, columns in samples.of("up").items()]
        [([(('host', 'a'),)], [[1.0]])]
    """

    def __init__(self) -> None:
        self._tables: dict[tuple[str, ...], Table] = {}
        self._metrics: dict[str, dict[Table, Columns]] = {}

    def table(self, names: tuple[str, ...]) -> Table:
        """Return the table of the labels with these names, which must be sorted."""
        found = self._tables.get(names)
        if found is None:
            found = self._tables[names] = Table(names)
        return found

    def of(self, metric: str) -> Mapping[Table, Columns]:
        """Return the samples of a metric by table."""
        return self._metrics.get(metric, {})

    def add(self, metric: str, labels: Mapping[str, str], at: float, value: float) -> None:
        """Add a sample. One that is not newer than the last one of its series is ignored."""
        given = tuple(sorted(labels.items()))
        table = self.table(tuple(name for name, _ in given))
        self._columns_of(metric, table).set_value(table.row(given), at, value)

    def add_round(self, made: Round, metrics: Iterable[str]) -> None:
        """Add the samples of some metrics of a round. Objects with the same layout are added together, column by column."""
        wanted = set(metrics)
        groups: dict[tuple[Layout, tuple[str, ...]], list[Measured]] = {}
        for one in made.measured:
            groups.setdefault((one.layout, tuple([name for name, _ in one.labels])), []).append(one)
        for (layout, names), some in groups.items():
            further: dict[Labels, list[tuple[int, SeriesKey]]] = {}
            for place, key in enumerate(layout.series):
                if key.metric in wanted:
                    further.setdefault(key.labels, []).append((place, key))
            rows_of_values = [one.values for one in some] if further else []
            for labels, places in further.items():
                table, rows = self._rows(names, labels, some)
                for place, key in places:
                    values = map(itemgetter(place), rows_of_values)
                    self._columns_of(key.metric, table).put(rows, made.at, values, len(table.rows))

    def forget(self, horizons: Mapping[str, float]) -> None:
        """Drop the samples from before these times, by metric, and all samples of other metrics."""
        for metric in list(self._metrics):
            if metric not in horizons:
                del self._metrics[metric]
                continue
            for columns in self._metrics[metric].values():
                columns.forget(horizons[metric])
        for table in self._tables.values():
            if len(table.rows) > 2 * table.checked + UNUSED_ROWS:
                self._drop_unused(table)

    def _columns_of(self, metric: str, table: Table) -> Columns:
        known = self._metrics.setdefault(metric, {})
        found = known.get(table)
        if found is None:
            found = known[table] = Columns()
        return found

    def _rows(self, names: tuple[str, ...], labels: Labels, some: Sequence[Measured]) -> tuple[Table, list[int]]:
        """Return the table and the rows of objects; `labels` are added to those of each object."""
        if not labels:
            table = self.table(names)
            return table, [table.row(one.labels) for one in some]
        table = self.table(tuple(sorted((*names, *(name for name, _ in labels)))))
        return table, [table.row(tuple(sorted((*one.labels, *labels)))) for one in some]

    def _drop_unused(self, table: Table) -> None:
        """Drop the rows of series that have no samples any more, such as those of deleted VMs."""
        all_columns = [known[table] for known in self._metrics.values() if table in known]
        used = sorted({row for columns in all_columns for row in columns.used()})
        table.rows = [table.rows[row] for row in used]
        table.index = {labels: row for row, labels in enumerate(table.rows)}
        table.checked = len(used)
        for columns in all_columns:
            columns.move(used)


__all__ = ["Column", "Columns", "Samples", "Table"]
