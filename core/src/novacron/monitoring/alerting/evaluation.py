"""Computes expressions at one time, column by column."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.monitoring.alerting.expressions import (
    COMPARISONS,
    Aggregate,
    Binary,
    Call,
    Expression,
    Matcher,
    Matching,
    Number,
    Selector,
)
from novacron.monitoring.alerting.functions import AGGREGATIONS, FUNCTIONS, OfSeries
from novacron.monitoring.alerting.samples import Column, Columns, Samples, Table
from novacron.monitoring.alerting.vectors import Vector, union
from novacron.monitoring.layouts import Labels

LOOKBACK = 300.0
"""Seconds that a sample counts as the current value of its series."""


def evaluate(expression: Expression, samples: Samples, at: float) -> Vector | float:
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
    return Evaluation(samples, at).of(expression)


class Evaluation:
    """Computes expressions at one time. Selectors and calls that several rules have are computed once.

    Args:
        samples: where the samples are.
        at: the time.
    """

    def __init__(self, samples: Samples, at: float) -> None:
        self.samples, self.at = samples, at
        self._known: dict[Expression, Vector] = {}
        self._chosen_rows: dict[tuple[Table, tuple[Matcher, ...]], list[bool]] = {}

    def of(self, expression: Expression) -> Vector | float:
        """Return the value of an expression. Raises InvalidSpecError as `evaluate` does."""
        if isinstance(expression, Number):
            return expression.value
        if isinstance(expression, Selector):
            return self._once(expression, self._instant)
        if isinstance(expression, Call):
            return self.at if expression.name == "time" else self._once(expression, self._call)
        if isinstance(expression, Aggregate):
            return self._aggregate(expression)
        return self._binary(expression)

    def vector(self, expression: Expression) -> Vector:
        """Return the value of an expression; a number is a series without labels."""
        found = self.of(expression)
        return found if isinstance(found, Vector) else self._vector({(): found})

    def _vector(self, values: dict[Labels, float]) -> Vector:
        return Vector.of(values, self.samples)

    def _once(self, expression: Any, compute: Callable[[Any], Vector]) -> Vector:
        found = self._known.get(expression)
        if found is None:
            found = self._known[expression] = compute(expression)
        return found

    def _chosen(self, table: Table, column: Column, selector: Selector) -> Column:
        """Return a column with the values of the series that fulfil the selector's matchers."""
        if not selector.matchers:
            return column
        name = (table, selector.matchers)
        rows = self._chosen_rows.get(name)
        if rows is None or len(rows) < len(column):
            known = map(dict, table.rows)
            rows = [all(one.matches(labels.get(one.label, "")) for one in selector.matchers) for labels in known]
            self._chosen_rows[name] = rows
        return [value if ours else None for value, ours in zip(column, rows, strict=False)]

    def _instant(self, selector: Selector) -> Vector:
        at, found = self.at - selector.offset, {}
        for table, stored in self.samples.of(selector.metric).items():
            _, columns = stored.between(at - LOOKBACK, at, len(table.rows))
            if not columns:
                continue
            column = columns[-1]
            for older in reversed(columns[:-1]):
                if None not in column:
                    break
                column = [b if a is None else a for a, b in zip(column, older, strict=True)]
            found[table] = self._chosen(table, column, selector)
        return Vector(found)

    def _call(self, call: Call) -> Vector:
        if call.name == "absent":
            return self._absent(call.arguments[0])
        function = FUNCTIONS[call.name]
        others = [self.of(argument) for argument in call.arguments[1:]]
        first = call.arguments[0]
        if function.arguments[0] == "vector":
            return _series(self.of(first)).mapped(function.compute, *others)
        found = {}
        for table, stored in self.samples.of(first.metric).items():
            column = self._over_time(stored, len(table.rows), first, function.compute, others)
            found[table] = self._chosen(table, column, first)
        return Vector(found)

    def _over_time(
        self, samples: Columns, size: int, selector: Selector, prepare: Callable[..., OfSeries], others: Sequence[Any]
    ) -> Column:
        """Return a function of the samples of each series in the selector's range."""
        end = self.at - selector.offset
        start = end - (selector.range or 0.0)
        times, columns = samples.between(start, end, size)
        of_all = prepare(times, start, end, *others)
        if not any(None in column for column in columns):
            return [*map(of_all, zip(*columns, strict=True))]
        found: Column = []
        for values in zip(*columns, strict=True):
            if None not in values:
                found.append(of_all(values))
                continue
            known = [place for place, value in enumerate(values) if value is not None]
            of_one = prepare([times[place] for place in known], start, end, *others)
            found.append(of_one([values[place] for place in known]) if known else None)
        return found

    def _absent(self, argument: Expression) -> Vector:
        if self.of(argument):
            return Vector({})
        if not isinstance(argument, Selector):
            return self._vector({(): 1.0})
        equal: dict[str, str] = {}
        doubled = set()
        for matcher in argument.matchers:
            if matcher.sign != "=" or matcher.label in equal:
                doubled.add(matcher.label)
            equal[matcher.label] = matcher.value
        kept = tuple(sorted((name, value) for name, value in equal.items() if name not in doubled and value))
        return self._vector({kept: 1.0})

    def _aggregate(self, one: Aggregate) -> Vector:
        groups: dict[Labels, list[float]] = {}
        for table, column in _series(self.of(one.inner)).columns.items():
            kept = _kept(table, one.labels, one.by)
            for labels, value in zip(table.rows, column, strict=False):
                if value is not None:
                    groups.setdefault(kept(labels), []).append(value)
        compute = AGGREGATIONS[one.name]
        return self._vector({labels: float(compute(_without_nan(values, one.name))) for labels, values in groups.items()})

    def _binary(self, one: Binary) -> Vector | float:
        left, right = self.of(one.left), self.of(one.right)
        compute = OPERATORS.get(one.sign)
        if compute is None:
            return _sets(one, _series(left), _series(right))
        if isinstance(left, Vector) and isinstance(right, Vector):
            if one.matching == Matching():
                return left.joined(right, _of_columns(one))
            return self._vector(_matched(one, left, right))
        if not isinstance(left, Vector) and not isinstance(right, Vector):
            return float(compute(left, right))
        if isinstance(left, Vector):
            series, number = left, right
        else:
            series, number, compute = _series(right), left, _swapped(compute)
        if one.sign not in COMPARISONS or one.returns_bool:
            return series.mapped(compute, number)
        return series.filtered(compute, float(number))  # type: ignore[arg-type]


def _swapped(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda one, other: compute(other, one)


def _of_columns(one: Binary) -> Callable[[Column, Column], Column]:
    """Return what an operator makes of two columns."""
    compute = OPERATORS[one.sign]
    if one.sign in COMPARISONS and not one.returns_bool:
        return lambda left, right: [
            a if a is not None and b is not None and compute(a, b) else None for a, b in zip(left, right, strict=True)
        ]
    return lambda left, right: [
        None if a is None or b is None else float(compute(a, b)) for a, b in zip(left, right, strict=True)
    ]


def _series(value: Vector | float) -> Vector:
    if not isinstance(value, Vector):
        raise InvalidSpecError(
            "not an expression of series", problems=[SpecProblem("expr", f"{value:g}", "series instead of a number")]
        )
    return value


def _kept(table: Table, names: Sequence[str], by: bool) -> Callable[[Labels], Labels]:
    """Return what leaves out labels of the rows of a table: all but `names`, or `names` themselves."""
    places = [place for place, name in enumerate(table.names) if (name in names) == by]
    if len(places) == len(table.names):
        return lambda labels: labels
    if len(places) > 1:
        return itemgetter(*places)
    return lambda labels: tuple([labels[place] for place in places])


def _without_nan(values: list[float], name: str) -> list[float]:
    """Return the values of a group; min and max ignore NaN if there are other values."""
    if name in ("min", "max"):
        return [value for value in values if value == value] or values
    return values


def _keyed(vector: Vector, matching: Matching) -> list[tuple[Labels, Labels, float]]:
    """Return the labels that are compared, all labels, and the value of each series."""
    found = []
    for table, column in vector.columns.items():
        kept = _kept(table, matching.labels, matching.on)
        found += [(kept(labels), labels, value) for labels, value in zip(table.rows, column, strict=False) if value is not None]
    return found


def _sets(one: Binary, left: Vector, right: Vector) -> Vector:
    if one.matching != Matching():
        chosen, other = (right, left) if one.sign == "or" else (left, right)
        known = {key for key, _, _ in _keyed(other, one.matching)}
        right_or_left = _only(chosen, one.matching, known, inside=one.sign == "and")
        return union([left, right_or_left]) if one.sign == "or" else right_or_left
    if one.sign == "or":
        return union([left, right])
    if one.sign == "unless":
        return left.without(right)
    return left.joined(right, lambda one, other: [None if b is None else a for a, b in zip(one, other, strict=True)])


def _only(vector: Vector, matching: Matching, known: set[Labels], *, inside: bool) -> Vector:
    """Return the series whose compared labels are among the known ones, or are not."""
    found = {}
    for table, column in vector.columns.items():
        kept = _kept(table, matching.labels, matching.on)
        rows = zip(table.rows, column, strict=False)
        found[table] = [value if value is not None and (kept(labels) in known) == inside else None for labels, value in rows]
    return Vector(found)


def _matched(one: Binary, left: Vector, right: Vector) -> dict[Labels, float]:
    matching, compute = one.matching, OPERATORS[one.sign]
    many, few = (right, left) if matching.group == "right" else (left, right)
    known: dict[Labels, tuple[Labels, float]] = {}
    for key, labels, value in _keyed(few, matching):
        if key in known:
            raise _ambiguous(labels)
        known[key] = (labels, value)
    found: dict[Labels, float] = {}
    for key, labels, value in _keyed(many, matching):
        other = known.get(key)
        if other is None:
            continue
        pair = (other[1], value) if matching.group == "right" else (value, other[1])
        result = compute(*pair)
        comparing = one.sign in COMPARISONS and not one.returns_bool
        if comparing and not result:
            continue
        name = key if matching.group is None else _result_labels(labels, other[0], matching)
        if name in found:
            raise _ambiguous(labels)
        found[name] = pair[0] if comparing else float(result)
    return found


def _result_labels(labels: Labels, other: Labels, matching: Matching) -> Labels:
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

__all__ = ["LOOKBACK", "OPERATORS", "Evaluation", "evaluate"]
