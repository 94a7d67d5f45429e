"""Metrics over time: definitions, samples and series."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.records.record import Record
from novacron.redaction import described

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
MetricKind = Literal["gauge", "counter"]
LONGEST = 256
"""How many characters a label's value may have."""


class MetricDefinition(Record, frozen=True):
    """What a metric measures.

    Attributes:
        name: Name in Prometheus' form: `myapp_queue_length`. The name of a counter ends with `_total`.
        kind: "gauge" for a value that goes up and down, "counter" for a sum that only grows.
        unit: Unit of the values, such as "bytes" or "seconds"; empty for plain numbers.
        help: One sentence for people.

    Raises:
        InvalidSpecError: from `check`, which names each invalid field.

    Example:
        >>> MetricDefinition(name="myapp_queue_length", help="Jobs that wait.").check().kind
        'gauge'
    """

    name: str
    kind: MetricKind = "gauge"
    unit: str = ""
    help: str = ""

    def check(self) -> MetricDefinition:
        """Return the definition itself if it is valid. Raises InvalidSpecError."""
        problems = []
        if not METRIC_NAME.fullmatch(self.name):
            problems.append(SpecProblem("name", self.name, "letters, digits and underscores, such as myapp_queue_length"))
        if self.kind not in ("gauge", "counter"):
            problems.append(SpecProblem("kind", str(self.kind), "gauge or counter"))
        if self.kind == "counter" and not self.name.endswith("_total"):
            problems.append(SpecProblem("name", self.name, "a name that ends with _total, as each counter's does"))
        if problems:
            raise InvalidSpecError(f"invalid metric {self.name!r}", problems=problems)
        return self


class Sample(Record, frozen=True):
    """One value of one series.

    Attributes:
        metric: Name of the metric.
        value: A finite number, in the unit of the metric.
        labels: What distinguishes this series from others of the same metric, by label name.
        at: When it was measured, in seconds since 1970; None means now.

    Example:
        >>> Sample(metric="myapp_queue_length", value=3, labels={"queue": "mail"}).check().value
        3
    """

    metric: str
    value: float
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    at: float | None = None

    def check(self) -> Sample:
        """Return the sample itself if it is valid. Raises InvalidSpecError, which names each invalid field."""
        problems = []
        if not isinstance(self.metric, str) or not METRIC_NAME.fullmatch(self.metric):
            problems.append(
                SpecProblem("metric", str(self.metric), "letters, digits and underscores, such as myapp_queue_length")
            )
        if not _is_finite(self.value):
            problems.append(SpecProblem("value", described(self.value), "a finite number"))
        if self.at is not None and not _is_finite(self.at):
            problems.append(SpecProblem("at", described(self.at), "seconds since 1970"))
        for name, value in self.labels.items():
            if not LABEL_NAME.fullmatch(name) or name.startswith("__"):
                problems.append(SpecProblem("labels", name, "names of letters, digits and underscores"))
            elif not isinstance(value, str) or len(value) > LONGEST:
                problems.append(SpecProblem(f"labels.{name}", str(value)[:40], f"a text of at most {LONGEST} characters"))
        if problems:
            raise InvalidSpecError("invalid sample", problems=problems)
        return self


def _is_finite(value: object) -> bool:
    """Return whether a value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer above 1.8e308
        return False


class Series(Record, frozen=True):
    """The samples of one metric with one set of labels, oldest first.

    Attributes:
        metric: Name of the metric.
        labels: Labels of the series.
        points: Pairs of the time in seconds since 1970, and the value.
        unit: Unit of the values; empty for plain numbers.
    """

    metric: str
    labels: dict[str, str]
    points: tuple[tuple[float, float], ...] = ()
    unit: str = ""

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return iter(self.points)

    @property
    def last(self) -> float | None:
        """The newest value, None if there is none."""
        return self.points[-1][1] if self.points else None

    def to_pandas(self) -> Any:
        """Return a pandas Series indexed by time in UTC. Raises UnsupportedOperationError if pandas is not installed."""
        pandas = _library("pandas")
        index = pandas.to_datetime([at for at, _ in self.points], unit="s", utc=True)
        return pandas.Series([value for _, value in self.points], index=index, name=self.metric)

    def to_arrow(self) -> Any:
        """Return a pyarrow Table with the columns `at` and `value`. Raises UnsupportedOperationError if pyarrow is not installed."""
        arrow = _library("pyarrow")
        times = arrow.array([round(at * 1e6) for at, _ in self.points], arrow.timestamp("us", tz="UTC"))
        return arrow.table({"at": times, "value": arrow.array([value for _, value in self.points], arrow.float64())})


def _library(name: str) -> Any:
    from importlib import import_module

    from novacron.errors import UnsupportedOperationError

    try:
        return import_module(name)
    except ImportError as error:
        raise UnsupportedOperationError(f"the Python package {name} is not installed", hint=f"pip install {name}") from error


def series_name(metric: str, labels: Mapping[str, str]) -> str:
    r"""Return a series as Prometheus writes it.

    Example:
        >>> series_name("up", {"host": 'a"b', "zone": "1"})
        'up{host="a\\"b",zone="1"}'
    """
    if not labels:
        return metric
    pairs = ",".join(f'{name}="{escaped_label(value)}"' for name, value in sorted(labels.items()))
    return f"{metric}{{{pairs}}}"


def escaped_label(value: str) -> str:
    """Return a label's value with backslashes, quotes and newlines escaped, as the exposition formats require.

    What is no valid Unicode, such as half of a surrogate pair in a guest's answer, becomes a question mark.
    """
    value = value.encode(errors="replace").decode()
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


__all__ = ["MetricDefinition", "MetricKind", "Sample", "Series", "escaped_label", "series_name"]
