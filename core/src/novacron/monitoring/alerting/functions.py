"""The functions and aggregations of expressions, as Prometheus computes them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from operator import gt
from typing import Any, NamedTuple

Times = Sequence[float]
Values = Sequence[float]
OfSeries = Callable[[Values], float | None]
"""Returns the result for the values of one series."""


class Function(NamedTuple):
    """A function: the kinds of its arguments, what computes it, and whether it returns a number instead of series.

    A function of a range is computed in two steps, because all series of a fleet are measured at the same times. `compute` is called with
    the times, the start and the end of the range, and the further arguments. What it returns is called with the values of each series.
    """

    arguments: tuple[str, ...]
    compute: Callable[..., Any]
    scalar: bool = False


def _nothing(values: Values) -> None:
    """Return the result of a range with too few samples."""


def _extrapolated(times: Times, start: float, end: float, *, counter: bool, per_second: bool) -> OfSeries:
    """Return the increase in a range, extrapolated to its ends as Prometheus does: at most by half the distance of two samples."""
    if len(times) < 2:
        return _nothing
    before, after, sampled = times[0] - start, end - times[-1], times[-1] - times[0]
    average = sampled / (len(times) - 1)
    threshold, divisor = average * 1.1, (end - start) if per_second else 1.0
    to_end = after if after < threshold else average / 2

    def compute(values: Values) -> float:
        first = values[0]
        result = values[-1] - first
        if counter and any(map(gt, values, values[1:])):
            result += sum(old for old, new in itertools.pairwise(values) if new < old)
        to_start = before
        if counter and result > 0 and first >= 0:
            to_zero = sampled * (first / result)
            if to_zero < before:
                to_start = to_zero
        covered = sampled + (to_start if to_start < threshold else average / 2) + to_end
        return result * (covered / sampled) / divisor

    return compute


def _rate(times: Times, start: float, end: float) -> OfSeries:
    return _extrapolated(times, start, end, counter=True, per_second=True)


def _increase(times: Times, start: float, end: float) -> OfSeries:
    return _extrapolated(times, start, end, counter=True, per_second=False)


def _delta(times: Times, start: float, end: float) -> OfSeries:
    return _extrapolated(times, start, end, counter=False, per_second=False)


def _instant_rate(times: Times, start: float, end: float) -> OfSeries:
    if len(times) < 2 or times[-1] == times[-2]:
        return _nothing
    seconds = times[-1] - times[-2]
    return lambda values: (values[-1] if values[-1] < values[-2] else values[-1] - values[-2]) / seconds


def total(values: Values) -> float:
    """Return the sum; an infinity or NaN if it can't be told, as in Prometheus.

    Example:
        >>> total([1e308, 1e308]), total([float("inf"), -float("inf")])
        (inf, nan)
    """
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return float(sum(values))


def regression(times: Sequence[float], values: Sequence[float], at: float) -> tuple[float, float]:
    """Return slope per second, and value at the time `at`, of the line that fits best."""
    if all(value == values[0] for value in values):
        return 0.0, values[0]
    xs = [time - at for time in times]
    count, sum_x, sum_y = len(xs), math.fsum(xs), total(values)
    sum_xy = total([x * y for x, y in zip(xs, values, strict=True)])
    sum_xx = math.fsum(x * x for x in xs)
    covariance, variance = sum_xy - sum_x * sum_y / count, sum_xx - sum_x * sum_x / count
    slope = covariance / variance
    return slope, sum_y / count - slope * sum_x / count


def _predict(times: Times, start: float, end: float, seconds: float) -> OfSeries:
    if len(times) < 2:
        return _nothing

    def compute(values: Values) -> float:
        slope, value = regression(times, values, end)
        return value + slope * seconds

    return compute


def _derivative(times: Times, start: float, end: float) -> OfSeries:
    return _nothing if len(times) < 2 else lambda values: regression(times, values, times[0])[0]


def _over(compute: Callable[[Values], float]) -> Callable[..., OfSeries]:
    return lambda times, start, end: compute


def _changes(values: Sequence[float]) -> float:
    return float(sum(new != old and not (new != new and old != old) for old, new in itertools.pairwise(values)))


def _resets(values: Sequence[float]) -> float:
    return float(sum(new < old for old, new in itertools.pairwise(values)))


def _rounded(value: float) -> float:
    return math.floor(value + 0.5) if math.isfinite(value) else value


def _finite(compute: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: float(compute(value)) if math.isfinite(value) else value


def mean(values: Sequence[float]) -> float:
    """Return the average; infinities stay what they are."""
    return sum(values) / len(values)


RANGE = ("range",)
FUNCTIONS: dict[str, Function] = {
    "rate": Function(RANGE, _rate),
    "increase": Function(RANGE, _increase),
    "delta": Function(RANGE, _delta),
    "irate": Function(RANGE, _instant_rate),
    "deriv": Function(RANGE, _derivative),
    "predict_linear": Function(("range", "scalar"), _predict),
    "avg_over_time": Function(RANGE, _over(mean)),
    "min_over_time": Function(RANGE, _over(min)),
    "max_over_time": Function(RANGE, _over(max)),
    "sum_over_time": Function(RANGE, _over(total)),
    "count_over_time": Function(RANGE, _over(lambda values: float(len(values)))),
    "last_over_time": Function(RANGE, _over(lambda values: values[-1])),
    "present_over_time": Function(RANGE, _over(lambda values: 1.0)),
    "changes": Function(RANGE, _over(_changes)),
    "resets": Function(RANGE, _over(_resets)),
    "abs": Function(("vector",), abs),
    "ceil": Function(("vector",), _finite(math.ceil)),
    "floor": Function(("vector",), _finite(math.floor)),
    "round": Function(("vector",), _rounded),
    "clamp_min": Function(("vector", "scalar"), max),
    "clamp_max": Function(("vector", "scalar"), min),
    "absent": Function(("vector",), None),  # type: ignore[arg-type]  # it needs the selector; see evaluation
    "time": Function((), None, scalar=True),  # type: ignore[arg-type]  # it needs the time of the evaluation
}
AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "avg": mean,
    "min": min,
    "max": max,
    "count": lambda values: float(len(values)),
}

__all__ = ["AGGREGATIONS", "FUNCTIONS", "Function", "mean", "regression", "total"]
