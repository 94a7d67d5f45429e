"""The results of expressions: one value for each set of labels, in columns of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from novacron.monitoring.alerting.samples import Column, Samples, Table
from novacron.monitoring.layouts import Labels


class Vector(Mapping[Labels, float]):
    """A value for each set of labels. It compares equal to a dictionary with the same items.

    Attributes:
        columns: the values by table; None in the rows that have no value.
    """

    __slots__ = ("columns",)

    def __init__(self, columns: dict[Table, Column]) -> None:
        self.columns = columns

    @classmethod
    def of(cls, values: Mapping[Labels, float], samples: Samples) -> Vector:
        """Return a vector with these values, in the tables of `samples`."""
        columns: dict[Table, Column] = {}
        for labels, value in values.items():
            table = samples.table(tuple(name for name, _ in labels))
            row, column = table.row(labels), columns.setdefault(table, [])
            column.extend([None] * (row + 1 - len(column)))
            column[row] = value
        return cls(columns)

    def __getitem__(self, labels: Labels) -> float:
        """Return the value of a set of labels."""
        for table, column in self.columns.items():
            row = table.index.get(labels)
            if row is not None and row < len(column):
                value = column[row]
                if value is not None:
                    return value
        raise KeyError(labels)

    def __iter__(self) -> Iterator[Labels]:
        """Yield the sets of labels."""
        return (labels for labels, _ in self.pairs())

    def __len__(self) -> int:
        """Return how many sets of labels have a value."""
        return sum(len(column) - column.count(None) for column in self.columns.values())

    def __repr__(self) -> str:
        return repr(dict(self.pairs()))

    def pairs(self) -> Iterator[tuple[Labels, float]]:
        """Yield labels and values. It is quicker than `items`, which looks each value up."""
        for table, column in self.columns.items():
            for labels, value in zip(table.rows, column, strict=False):
                if value is not None:
                    yield labels, value

    def mapped(self, compute: Callable[..., Any], *others: Any) -> Vector:
        """Return the results of a function of each value."""
        if not others:
            return self._each(lambda column: [None if value is None else float(compute(value)) for value in column])
        return self._each(lambda column: [None if value is None else float(compute(value, *others)) for value in column])

    def filtered(self, holds: Callable[[float, float], bool], other: float) -> Vector:
        """Return the values for which a comparison with a number holds."""
        return self._each(lambda column: [value if value is not None and holds(value, other) else None for value in column])

    def joined(self, other: Vector, compute: Callable[[Column, Column], Column]) -> Vector:
        """Return the results of a function of two columns, for the tables that both vectors have. Rows are matched by their labels."""
        found = {}
        for table, left in self.columns.items():
            right = other.columns.get(table)
            if right is not None:
                size = max(len(left), len(right))
                found[table] = compute(_padded(left, size), _padded(right, size))
        return Vector(found)

    def without(self, other: Vector) -> Vector:
        """Return the values whose labels have no value in another vector."""
        joined = self.joined(other, lambda left, right: [a if b is None else None for a, b in zip(left, right, strict=True)])
        return Vector({**self.columns, **joined.columns})

    def _each(self, compute: Callable[[Column], Column]) -> Vector:
        return Vector({table: compute(column) for table, column in self.columns.items()})


def union(vectors: Iterable[Vector]) -> Vector:
    """Return the values of several vectors; of two values with the same labels the first one's."""
    columns: dict[Table, Column] = {}
    for vector in vectors:
        for table, column in vector.columns.items():
            known = columns.get(table)
            if known is None:
                columns[table] = column
            else:
                size = max(len(known), len(column))
                pairs = zip(_padded(known, size), _padded(column, size), strict=True)
                columns[table] = [b if a is None else a for a, b in pairs]
    return Vector(columns)


def _padded(column: Column, size: int) -> Column:
    return column if len(column) == size else [*column, *[None] * (size - len(column))]


__all__ = ["Vector", "union"]
