"""Forecasts: a linear trend, the mean of the same hour of past days, and Holt-Winters. The one with the smallest error is used.

Each method is a function of the values of equal steps. It is judged by a forecast of data that it has not seen: the last fifth.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from novacron.errors import InvalidSpecError, PluginError, SpecProblem
from novacron.plugins.functions import checked
from novacron.plugins.names import by_name
from novacron.records.forecasts import Anomaly, Forecast, ForecastPoint
from novacron.records.series import Series

LEAST = 24
"""How many values a forecast needs."""
BAND = 0.9
"""The share of past errors that the range of a forecast covers."""
Method = Callable[[Sequence[float], int, int], list[float]]
"""Takes the values, how many to forecast, and the number of values in a day; raises ValueError if there are too few."""


def linear(values: Sequence[float], count: int, season: int) -> list[float]:
    """Continue the line that fits best (least squares).

    Example:
        >>> linear([1.0, 2.0, 3.0], 2, 24)
        [4.0, 5.0]
    """
    size = len(values)
    middle, average = (size - 1) / 2, math.fsum(values) / size
    spread = math.fsum((n - middle) ** 2 for n in range(size))
    slope = math.fsum((n - middle) * (value - average) for n, value in enumerate(values)) / spread if spread else 0.0
    return [average + slope * (size + n - middle) for n in range(count)]


def seasonal(values: Sequence[float], count: int, season: int) -> list[float]:
    """Continue with the mean of the same time of past days, on the line through the days' means that outliers change least (Theil-Sen)."""
    days = len(values) // season
    if days < 3:
        raise ValueError("three days of data are needed")
    recent = values[-days * season :]
    means = [math.fsum(recent[day * season : (day + 1) * season]) / season for day in range(days)]
    pairs = itertools.combinations(enumerate(means), 2)
    slope = statistics.median((later - sooner) / (last - first) for (first, sooner), (last, later) in pairs)
    level = statistics.median(mean + slope * (days - 1 - day) for day, mean in enumerate(means))
    shape = [math.fsum(recent[day * season + n] - means[day] for day in range(days)) / days for n in range(season)]
    return [level + slope * (n // season + 1) + shape[n % season] for n in range(count)]


def holt_winters(values: Sequence[float], count: int, season: int) -> list[float]:
    """Continue by exponential smoothing of level, trend and daily pattern; the best of a few smoothing factors."""
    if len(values) < 2 * season:
        raise ValueError("two days of data are needed")
    candidates = [(a, b, c) for a in (0.1, 0.3, 0.6) for b in (0.01, 0.1) for c in (0.05, 0.3)]
    best = min((_smoothed(values, count, season, *factors) for factors in candidates), key=lambda one: one[0])
    return best[1]


def _smoothed(values: Sequence[float], count: int, season: int, a: float, b: float, c: float) -> tuple[float, list[float]]:
    first, second = math.fsum(values[:season]) / season, math.fsum(values[season : 2 * season]) / season
    level, trend = first, (second - first) / season
    pattern = [value - first for value in values[:season]]
    error = 0.0
    for number, value in enumerate(values):
        expected = level + trend + pattern[number % season]
        error += abs(value - expected)
        before = level
        level = a * (value - pattern[number % season]) + (1 - a) * (level + trend)
        trend = b * (level - before) + (1 - b) * trend
        pattern[number % season] = c * (value - level) + (1 - c) * pattern[number % season]
    size = len(values)
    return error, [level + trend * (n + 1) + pattern[(size + n) % season] for n in range(count)]


METHODS: Mapping[str, Method] = {"linear": linear, "seasonal": seasonal, "holt_winters": holt_winters}


def with_plugins(hooks: Any) -> Mapping[str, Method]:
    """Return all methods: the built-in ones, and the forecasters of plugins by the names of their functions.

    A plugin can't replace a built-in method; see `novacron.plugins.names`.
    A forecaster that fails, or that returns something else than the wanted number of finite numbers, raises PluginError.
    """
    given = by_name(
        "forecaster", (each for some in hooks.forecasters() for each in some), built_in=METHODS, name_of=attrgetter("__name__")
    )
    return {name: METHODS.get(name) or _checked(each) for name, each in given.items()}


def _checked(forecaster: Callable[[Sequence[float], int, int], Iterable[float]]) -> Method:
    computed = checked("forecaster", forecaster, lambda found: [float(value) for value in found], passes=(ValueError,))

    def compute(values: Sequence[float], count: int, season: int) -> list[float]:
        found = computed(values, count, season)
        if len(found) != count or not all(map(math.isfinite, found)):
            raise PluginError(f"the forecaster {forecaster.__name__!r} did not return {count} finite numbers")
        return found

    return compute


def forecast(
    series: Series,
    *,
    step: float,
    horizon: float,
    level: float | None = None,
    method: str | None = None,
    methods: Mapping[str, Method] = METHODS,
) -> Forecast:
    """Forecast a series.

    Args:
        series: the past; gaps are filled with the value before. Values before a gap that is longer than they are not used.
        step: seconds between two of its points.
        horizon: how many seconds ahead.
        level: a value; the forecast says when the series reaches it.
        method: one of `methods`; the one with the smallest error when None.
        methods: the methods by name; `with_plugins` adds those of plugins.

    Returns:
        The forecast; its `problem` says why there is none.

    Raises:
        InvalidSpecError: no such method, or an invalid horizon.
        PluginError: the method of a plugin failed.
    """
    if (method is not None and method not in methods) or horizon < step or horizon / step > 100_000:
        allowed = f"one of {', '.join(methods)}, and a horizon of one to 100,000 steps"
        raise InvalidSpecError("can't forecast that", problems=[SpecProblem("method", f"{method} for {horizon:g} s", allowed)])
    empty = Forecast(metric=series.metric, labels=series.labels, level=level)
    values = regular(series, step)
    if len(values) < LEAST:
        return _without(empty, f"too little data: {len(values)} values of {step:g} s, {LEAST} are needed")
    season = max(1, round(86400 / step))
    held = max(1, len(values) // 5)
    known, hidden = values[:-held], values[-held:]
    judged: dict[str, tuple[float, list[float]]] = {}
    for name, compute in methods.items():
        if method in (None, name):
            try:
                guess = compute(known, held, season)
            except ValueError:
                continue
            judged[name] = (_error(guess, hidden), guess)
    if not judged:
        return _without(empty, f"too little data for {method}")
    name = min(judged, key=lambda one: judged[one][0])
    error, guess = judged[name]
    width = _quantile([abs(a - b) for a, b in zip(guess, hidden, strict=True)], BAND)
    start = series.points[-1][0]
    count = max(1, math.floor(horizon / step))
    points = []
    try:
        ahead = methods[name](values, count, season)
    except ValueError:  # a plugin's forecaster may refuse so many steps
        return _without(empty, f"{name} can't forecast {count} values from {len(values)}")
    for number, value in enumerate(ahead, 1):
        wide = width * math.sqrt(max(1.0, number / held))  # the further ahead, the less certain
        points.append(ForecastPoint(at=start + number * step, value=value, low=value - wide, high=value + wide))
    expected, earliest, latest = (_reaches(points, values[-1], level, field) for field in ("value", "early", "late"))
    return Forecast(
        metric=series.metric,
        labels=series.labels,
        level=level,
        method=name,
        error=error,
        naive_error=_error([known[-1]] * held, hidden),
        points=tuple(points),
        full_at=expected,
        full_earliest=earliest,
        full_latest=latest,
    )


def _without(empty: Forecast, problem: str) -> Forecast:
    found: Forecast = empty.replace(problem=problem)
    return found


def regular(series: Series, step: float) -> list[float]:
    """Return the values of a series at equal steps; a gap is filled with the value before it.

    If the gap is longer than all that was before it, the series begins after it: a clock was set, or nothing was measured for long. Most
    values would be invented otherwise.

    Example:
        >>> load = Series(metric="load", labels={}, points=((0.0, 1.0), (60.0, 2.0), (180.0, 3.0)))
        >>> regular(load, 60.0), regular(load.replace(points=(*load.points, (900.0, 7.0))), 60.0)
        ([1.0, 2.0, 2.0, 3.0], [7.0])
    """
    found: list[float] = []
    start = series.points[0][0] if series.points else 0.0
    for at, value in series.points:
        place = round((at - start) / step)
        if place > max(1, 2 * len(found)):
            found, start, place = [], at, 0
        while len(found) < place:
            found.append(found[-1])
        if len(found) == place:
            found.append(value)
    return found


def anomalies(series: Series, *, since: float, tolerance: float = 5.0) -> list[Anomaly]:
    """Return the values since a time that differ from those of the same hour of past weeks.

    A value is an anomaly if it is further from their median than `tolerance` times their median deviation. At least three weeks are needed;
    without them nothing is returned.
    """
    found = []
    past = {round(at / 3600): value for at, value in series.points}
    usual = {at: some for at, _ in series.points if len(some := _same_hour(past, round(at / 3600))) >= 3}
    middles = {at: statistics.median(some) for at, some in usual.items()}
    deviations = [abs(one - middles[at]) for at, some in usual.items() for one in some]
    common = statistics.median(deviations) if deviations else 0.0  # a few weeks may agree by chance
    for at, value in series.points:
        if at < since or at not in usual:
            continue
        middle = middles[at]
        spread = statistics.median(abs(one - middle) for one in usual[at])
        wide = tolerance * max(spread, 2 * common, abs(middle) * 0.01, 1e-9)
        if abs(value - middle) > wide:
            found.append(
                Anomaly(metric=series.metric, labels=series.labels, at=at, value=value, low=middle - wide, high=middle + wide)
            )
    return found


def _same_hour(past: Mapping[int, float], hour: int) -> list[float]:
    """Return the values of the same hour of the twelve weeks before."""
    return [past[hour - 168 * week] for week in range(1, 13) if hour - 168 * week in past]


def _error(guess: Sequence[float], truth: Sequence[float]) -> float:
    return math.fsum(abs(a - b) for a, b in zip(guess, truth, strict=True)) / len(truth)


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))]


def _reaches(points: Sequence[ForecastPoint], now: float, level: float | None, field: str) -> float | None:
    """Return when the forecast, or the near or far edge of its range, reaches a level from where the series is now."""
    if level is None:
        return None
    rising = now < level
    names = {"value": "value", "early": "high" if rising else "low", "late": "low" if rising else "high"}
    for point in points:
        value = getattr(point, names[field])
        if (value >= level) if rising else (value <= level):
            return point.at
    return None


__all__ = ["METHODS", "anomalies", "forecast", "regular", "with_plugins"]
