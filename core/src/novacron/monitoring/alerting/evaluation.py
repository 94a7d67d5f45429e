"""Computes expressions at one time."""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.monitoring.alerting.expressions import (
    COMPARISONS,
    Aggregate,
    Binary,
    Call,
    Expression,
    Matching,
    Number,
    Selector,
)
from novacron.monitoring.alerting.functions import AGGREGATIONS, FUNCTIONS
from novacron.monitoring.layouts import Labels

LOOKBACK = 300.0
"""Seconds that a sample counts as the current value of its series."""
Vector = dict[Labels, float]
"""A value for each set of labels."""


class SampleSource(Protocol):
    """Where expressions find samples."""

    def select(self, metric: str) -> Iterable[tuple[Labels, Sequence[float], Sequence[float]]]:
        """Return labels, times and values of the series of a metric; times in ascending order."""


class Samples:
    """Samples in memory: for tests of rules, and for values that are at hand.

    Example:
        >>> samples = Samples()
        >>> samples.add("up", {"host": "a"}, 60.0, 1.0)
        >>> [labels for labels, _, _ in samples.select("up")]
        [(('host', 'a'),)]
    """

    def __init__(self) -> None:
        self._series: dict[str, dict[Labels, tuple[list[float], list[float]]]] = {}

    def add(self, metric: str, labels: Mapping[str, str], at: float, value: float) -> None:
        """Add a sample; one that is not newer than the series' last one is ignored."""
        self.append(metric, tuple(sorted(labels.items())), at, value)

    def append(self, metric: str, labels: Labels, at: float, value: float) -> None:
        """Add a sample of a series whose labels are sorted. One that is not newer than the last one is ignored: it is known."""
        series = self._series.setdefault(metric, {}).get(labels)
        if series is None:
            series = self._series[metric][labels] = ([], [])
        elif series[0] and at <= series[0][-1]:
            return
        series[0].append(at)
        series[1].append(value)

    def select(self, metric: str) -> Iterable[tuple[Labels, Sequence[float], Sequence[float]]]:
        """Return labels, times and values of the series of a metric."""
        return ((labels, times, values) for labels, (times, values) in self._series.get(metric, {}).items())

    def forget(self, horizons: Mapping[str, float]) -> None:
        """Drop the samples before these times, by metric, and all samples of other metrics."""
        for metric in list(self._series):
            if metric not in horizons:
                del self._series[metric]
                continue
            known = self._series[metric]
            for labels in [labels for labels, (times, _) in known.items() if times[-1] < horizons[metric]]:
                del known[labels]
            for times, values in known.values():
                place = bisect_left(times, horizons[metric])
                del times[:place], values[:place]


def evaluate(expression: Expression, samples: SampleSource, at: float) -> Vector | float:
    """Return the value of an expression at a time.

    Raises:
        InvalidSpecError: several series of one side belong to one of the other, without `group_left` or `group_right`.

    Example:
        >>> from novacron.monitoring.alerting.expressions import parse
        >>> samples = Samples()
        >>> samples.add("up", {"host": "a"}, 60.0, 0.0)
        >>> evaluate(parse("up == 0"), samples, 90.0)
        {(('host', 'a'),): 0.0}
    """
    return _Evaluation(samples, at).of(expression)


def evaluate_vector(expression: Expression, samples: SampleSource, at: float) -> Vector:
    """Return the value of an expression at a time; a number is a series without labels."""
    found = evaluate(expression, samples, at)
    return found if isinstance(found, dict) else {(): found}


class _Evaluation:
    def __init__(self, samples: SampleSource, at: float) -> None:
        self._samples, self._at = samples, at

    def of(self, expression: Expression) -> Vector | float:
        if isinstance(expression, Number):
            return expression.value
        if isinstance(expression, Selector):
            return self._instant(expression)
        if isinstance(expression, Call):
            return self._call(expression)
        if isinstance(expression, Aggregate):
            return self._aggregate(expression)
        return self._binary(expression)

    def _chosen(self, selector: Selector) -> Iterable[tuple[Labels, Sequence[float], Sequence[float]]]:
        for labels, times, values in self._samples.select(selector.metric):
            if selector.matchers:
                known = dict(labels)
                if not all(matcher.matches(known.get(matcher.label, "")) for matcher in selector.matchers):
                    continue
            yield labels, times, values

    def _instant(self, selector: Selector) -> Vector:
        at, found = self._at - selector.offset, {}
        for labels, times, values in self._chosen(selector):
            place = len(times) if times and times[-1] <= at else bisect_right(times, at)
            if place and times[place - 1] >= at - LOOKBACK:
                found[labels] = values[place - 1]
        return found

    def _call(self, call: Call) -> Vector | float:
        if call.name == "time":
            return self._at
        if call.name == "absent":
            return self._absent(call.arguments[0])
        function = FUNCTIONS[call.name]
        others = [self.of(argument) for argument in call.arguments[1:]]
        first = call.arguments[0]
        found: Vector = {}
        if function.arguments[0] == "vector":
            given = _series(self.of(first))
            return {labels: float(function.compute(value, *others)) for labels, value in given.items()}
        end = self._at - first.offset
        start = end - first.range
        for labels, times, values in self._chosen(first):
            low, high = bisect_left(times, start), bisect_right(times, end)
            if low < high:
                value = function.compute((times[low:high], values[low:high], start, end), *others)
                if value is not None:
                    found[labels] = float(value)
        return found

    def _absent(self, argument: Expression) -> Vector:
        if self.of(argument):
            return {}
        if not isinstance(argument, Selector):
            return {(): 1.0}
        equal: dict[str, str] = {}
        doubled = set()
        for matcher in argument.matchers:
            if matcher.sign != "=" or matcher.label in equal:
                doubled.add(matcher.label)
            equal[matcher.label] = matcher.value
        return {tuple(sorted((name, value) for name, value in equal.items() if name not in doubled and value)): 1.0}

    def _aggregate(self, one: Aggregate) -> Vector:
        inner = _series(self.of(one.inner))
        groups: dict[Labels, list[float]] = {}
        for labels, value in inner.items():
            groups.setdefault(_kept(labels, one.labels, one.by), []).append(value)
        compute = AGGREGATIONS[one.name]
        return {labels: float(compute(_without_nan(values, one.name))) for labels, values in groups.items()}

    def _binary(self, one: Binary) -> Vector | float:
        left, right = self.of(one.left), self.of(one.right)
        if one.sign in ("and", "or", "unless"):
            return _sets(one, _series(left), _series(right))
        compute = OPERATORS[one.sign]
        if not isinstance(left, dict) and not isinstance(right, dict):
            return float(compute(left, right))
        if isinstance(left, dict) and isinstance(right, dict):
            return _matched(one, left, right)
        series = _series(left if isinstance(left, dict) else right)
        found = {}
        for labels, value in series.items():
            result = compute(value, right) if series is left else compute(left, value)
            if one.sign not in COMPARISONS or one.returns_bool:
                found[labels] = float(result)
            elif result:
                found[labels] = value
        return found


def _series(value: Vector | float) -> Vector:
    if not isinstance(value, dict):
        raise InvalidSpecError(
            "not an expression of series", problems=[SpecProblem("expr", f"{value:g}", "series instead of a number")]
        )
    return value


def _kept(labels: Labels, names: Sequence[str], by: bool) -> Labels:
    return tuple(pair for pair in labels if (pair[0] in names) == by)


def _without_nan(values: list[float], name: str) -> list[float]:
    """Return the values of a group; min and max ignore NaN if there are other values."""
    if name in ("min", "max"):
        return [value for value in values if value == value] or values
    return values


def _key(matching: Matching) -> Callable[[Labels], Labels]:
    return lambda labels: _kept(labels, matching.labels, matching.on)


def _sets(one: Binary, left: Vector, right: Vector) -> Vector:
    key = _key(one.matching)
    if one.sign == "or":
        known = {key(labels) for labels in left}
        return {**left, **{labels: value for labels, value in right.items() if key(labels) not in known}}
    known = {key(labels) for labels in right}
    return {labels: value for labels, value in left.items() if (key(labels) in known) == (one.sign == "and")}


def _matched(one: Binary, left: Vector, right: Vector) -> Vector:
    matching, key, compute = one.matching, _key(one.matching), OPERATORS[one.sign]
    many, few = (right, left) if matching.group == "right" else (left, right)
    known: dict[Labels, tuple[Labels, float]] = {}
    for labels, value in few.items():
        if key(labels) in known:
            raise _ambiguous(labels)
        known[key(labels)] = (labels, value)
    found: Vector = {}
    for labels, value in many.items():
        other = known.get(key(labels))
        if other is None:
            continue
        pair = (other[1], value) if matching.group == "right" else (value, other[1])
        result = compute(*pair)
        comparing = one.sign in COMPARISONS and not one.returns_bool
        if comparing and not result:
            continue
        name = _result_labels(labels, other[0], one)
        if name in found:
            raise _ambiguous(labels)
        found[name] = pair[0] if comparing else float(result)
    return found


def _result_labels(labels: Labels, other: Labels, one: Binary) -> Labels:
    matching = one.matching
    if matching.group is None:
        return _kept(labels, matching.labels, matching.on)
    if not matching.include:
        return labels
    included = {name: value for name, value in other if name in matching.include}
    kept = {name: value for name, value in labels if name not in matching.include}
    return tuple(sorted({**kept, **included}.items()))


def _ambiguous(labels: Labels) -> InvalidSpecError:
    problem = SpecProblem("expr", str(dict(labels)), "one series for each series of the other side; use on(...) or group_left")
    return InvalidSpecError("several series belong to one of the other side", problems=[problem])


def _divided(one: float, other: float) -> float:
    if other == 0:
        return math.nan if one == 0 or one != one else math.copysign(math.inf, one) * math.copysign(1.0, other)
    return one / other


def _remainder(one: float, other: float) -> float:
    return math.nan if other == 0 or math.isinf(one) else math.fmod(one, other)


def _power(one: float, other: float) -> float:
    try:
        return float(math.pow(one, other))
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if one == 0 else math.nan


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divided,
    "%": _remainder,
    "^": _power,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}

__all__ = ["LOOKBACK", "SampleSource", "Samples", "Vector", "evaluate", "evaluate_vector"]
