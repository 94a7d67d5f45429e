"""The functions and aggregations of expressions, as Prometheus computes them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from operator import gt
from typing import Any, NamedTuple

Window = tuple[Sequence[float], Sequence[float], float, float]
"""Times and values of a series, the start and the end of the range."""


class Function(NamedTuple):
    """A function: the kinds of its arguments, what computes it, and whether it returns a number instead of series."""

    arguments: tuple[str, ...]
    compute: Callable[..., Any]
    scalar: bool = False


def _extrapolated(window: Window, *, counter: bool, per_second: bool) -> float | None:
    """Return the increase in a range, extrapolated to its ends as Prometheus does: at most by half the distance of two samples."""
    times, values, start, end = window
    if len(times) < 2:
        return None
    result = values[-1] - values[0]
    if counter and any(map(gt, values, values[1:])):
        result += sum(old for old, new in itertools.pairwise(values) if new < old)
    to_start, to_end, sampled = times[0] - start, end - times[-1], times[-1] - times[0]
    average = sampled / (len(times) - 1)
    if counter and result > 0 and values[0] >= 0:
        to_start = min(to_start, sampled * (values[0] / result))
    threshold = average * 1.1
    covered = sampled + (to_start if to_start < threshold else average / 2) + (to_end if to_end < threshold else average / 2)
    return result * (covered / sampled) / ((end - start) if per_second else 1.0)


def _instant_rate(window: Window) -> float | None:
    times, values, _, _ = window
    if len(times) < 2 or times[-1] == times[-2]:
        return None
    grown = values[-1] if values[-1] < values[-2] else values[-1] - values[-2]
    return grown / (times[-1] - times[-2])


def regression(times: Sequence[float], values: Sequence[float], at: float) -> tuple[float, float]:
    """Return slope per second, and value at the time `at`, of the line that fits best."""
    if all(value == values[0] for value in values):
        return 0.0, values[0]
    xs = [time - at for time in times]
    count, sum_x, sum_y = len(xs), math.fsum(xs), math.fsum(values)
    sum_xy = math.fsum(x * y for x, y in zip(xs, values, strict=True))
    sum_xx = math.fsum(x * x for x in xs)
    covariance, variance = sum_xy - sum_x * sum_y / count, sum_xx - sum_x * sum_x / count
    slope = covariance / variance
    return slope, sum_y / count - slope * sum_x / count


def _predict(window: Window, seconds: float) -> float | None:
    times, values, _, end = window
    if len(times) < 2:
        return None
    slope, value = regression(times, values, end)
    return value + slope * seconds


def _derivative(window: Window) -> float | None:
    times, values, _, _ = window
    return None if len(times) < 2 else regression(times, values, times[0])[0]


def _over(compute: Callable[[Sequence[float]], float]) -> Callable[[Window], float | None]:
    return lambda window: compute(window[1]) if window[1] else None


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
    "rate": Function(RANGE, lambda window: _extrapolated(window, counter=True, per_second=True)),
    "increase": Function(RANGE, lambda window: _extrapolated(window, counter=True, per_second=False)),
    "delta": Function(RANGE, lambda window: _extrapolated(window, counter=False, per_second=False)),
    "irate": Function(RANGE, _instant_rate),
    "deriv": Function(RANGE, _derivative),
    "predict_linear": Function(("range", "scalar"), _predict),
    "avg_over_time": Function(RANGE, _over(mean)),
    "min_over_time": Function(RANGE, _over(min)),
    "max_over_time": Function(RANGE, _over(max)),
    "sum_over_time": Function(RANGE, _over(math.fsum)),
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

__all__ = ["AGGREGATIONS", "FUNCTIONS", "Function", "Window", "mean", "regression"]
