"""Values of many series at one time, in a form that is quick to compare and to store.

An object (a VM, a host, a pool) has many series. Its values of one round are a row of numbers; the layout says which series each number
belongs to. Most VMs have the same few layouts, so a layout is stored once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from novacron.records.series import Sample

Labels = tuple[tuple[str, str], ...]
"""Names and values of labels, sorted by name."""


def is_counter(metric: str) -> bool:
    """Return whether a metric is a counter. `MetricDefinition.check` makes sure that exactly the names of counters end so."""
    return metric.endswith("_total")


class SeriesKey(NamedTuple):
    """A series of an object: the metric, and the labels that the object itself does not have."""

    metric: str
    labels: Labels = ()


class Layout:
    """The series of a row, counters first. Make it with `Layouts.of`, so that equal layouts are one object.

    Attributes:
        counters: how many of the series, from the first on, are counters.
        digest: identifies the layout in the database.
    """

    __slots__ = ("counters", "digest", "index", "series")

    def __init__(self, series: tuple[SeriesKey, ...]) -> None:
        self.series = series
        self.counters = sum(is_counter(key.metric) for key in series)
        self.index = {key: number for number, key in enumerate(series)}
        self.digest = hashlib.sha256(self.as_json().encode()).hexdigest()

    def __repr__(self) -> str:
        return f"<Layout of {len(self.series)} series>"

    def as_json(self) -> str:
        """Return the layout as text."""
        return json.dumps([[key.metric, [list(pair) for pair in key.labels]] for key in self.series])


class Layouts:
    """The layouts of a process: each one is made once."""

    def __init__(self) -> None:
        self._known: dict[tuple[SeriesKey, ...], Layout] = {}
        self._shapes: dict[Hashable, Layout] = {}

    def __repr__(self) -> str:
        return f"<{len(self._known)} layouts>"

    def of(self, series: Iterable[SeriesKey]) -> Layout:
        """Return the layout of these series. They must be sorted as `in_order` sorts them."""
        key = tuple(series)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Layout(key)
        return found

    def of_shape(self, shape: Hashable, series: Callable[[], Iterable[SeriesKey]]) -> Layout:
        """Return the layout of all objects with the same shape, such as VMs with the same devices.

        Args:
            shape: what the series depend on.
            series: returns the series; it is called once for each shape.
        """
        found = self._shapes.get(shape)
        if found is None:
            found = self._shapes[shape] = self.of(series())
        return found

    def from_json(self, value: list[list[object]]) -> Layout:
        """Return the layout that `Layout.as_json` described."""
        return self.of(SeriesKey(str(metric), tuple((str(n), str(v)) for n, v in labels)) for metric, labels in value)  # type: ignore[attr-defined]


def in_order(values: dict[SeriesKey, float]) -> tuple[list[SeriesKey], list[float]]:
    """Return series and values in the order of layouts: counters first, then by name and labels."""
    keys = sorted(values, key=lambda key: (not is_counter(key.metric), key))
    return keys, [values[key] for key in keys]


class Measured(msgspec.Struct, gc=False):  # it is in no cycle, and there are hundreds of thousands
    """The values of one object at one time.

    Attributes:
        kind: "vm", "host", "pool" or "custom".
        key: identifies the object among those of its kind; a VM's UUID.
        host: where it was measured.
        labels: the labels of all its series.
        layout: which series the values belong to.
        values: one number for each series of the layout.
    """

    kind: str
    key: str
    host: str
    labels: Labels
    layout: Layout
    values: list[float]

    def samples(self, at: float | None = None) -> Iterator[Sample]:
        """Yield the values as samples."""
        common = dict(self.labels)
        for key, value in zip(self.layout.series, self.values, strict=True):
            yield Sample(metric=key.metric, value=value, labels={**common, **dict(key.labels)}, at=at)


class Round(msgspec.Struct):
    """All that was measured in one interval.

    Attributes:
        at: the time of the interval, in seconds since 1970.
        measured: one item for each object.
        problems: what could not be measured, by host or source.
        seconds: how long the collection took.
        jumped: by how many seconds the clock went ahead since the round before, beyond the time that passed; 0 if it did not jump;
            negative if it was set back after a jump, and the rounds from in between were given their right times.
    """

    at: float
    measured: list[Measured] = msgspec.field(default_factory=list)
    problems: dict[str, str] = msgspec.field(default_factory=dict)
    seconds: float = 0.0
    jumped: float = 0.0

    def __len__(self) -> int:
        """Return the number of samples."""
        return sum(len(one.values) for one in self.measured)

    def samples(self) -> Iterator[Sample]:
        """Yield all samples of the round."""
        for one in self.measured:
            yield from one.samples(self.at)


__all__ = ["Labels", "Layout", "Layouts", "Measured", "Round", "SeriesKey", "in_order", "is_counter"]
