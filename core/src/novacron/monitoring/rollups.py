"""Roll-ups: many samples as a few numbers for each step of time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Point = tuple[float, float]
"""A time in seconds since 1970, and a value."""


class RollUp(NamedTuple):
    """The samples of a series from `start` on, for one step. `last` is the newest value."""

    start: float
    minimum: float
    average: float
    maximum: float
    last: float
    samples: float


def step_of(at: float, step: float) -> float:
    """Return the start of the step that a time belongs to.

    Example:
        >>> step_of(610.0, 300)
        600.0
    """
    return float(math.floor(at / step) * step)


def roll_up(points: Iterable[Point], step: float) -> list[RollUp]:
    """Return one roll-up for each step that has samples, oldest first.

    Args:
        points: samples, oldest first.
        step: seconds.

    Example:
        >>> roll_up([(0.0, 1.0), (60.0, 3.0), (300.0, 5.0)], 300)
        [RollUp(start=0.0, minimum=1.0, average=2.0, maximum=3.0, last=3.0, samples=2.0), RollUp(start=300.0, ...)]
    """
    found: dict[float, list[float]] = {}
    for at, value in points:
        if value == value:
            found.setdefault(step_of(at, step), []).append(value)
    return [
        RollUp(start, min(values), _mean(values), max(values), values[-1], float(len(values))) for start, values in found.items()
    ]


def _mean(values: Sequence[float]) -> float:
    try:
        return math.fsum(values) / len(values)
    except OverflowError:  # the sum of values near 1e308
        return math.fsum(value / len(values) for value in values)


def combine(rollups: Iterable[RollUp], step: float) -> list[RollUp]:
    """Return the roll-ups of a longer step from those of a shorter one that divides it."""
    found: dict[float, list[RollUp]] = {}
    for one in rollups:
        found.setdefault(step_of(one.start, step), []).append(one)
    return [_combined(start, some) for start, some in found.items()]


def _combined(start: float, some: Sequence[RollUp]) -> RollUp:
    count = math.fsum(one.samples for one in some)
    lowest, highest = min(one.minimum for one in some), max(one.maximum for one in some)
    return RollUp(
        start,
        lowest,
        min(max(math.fsum(one.average * (one.samples / count) for one in some), lowest), highest),
        highest,
        some[-1].last,
        count,
    )


def rates(points: Sequence[Point]) -> list[Point]:
    """Return the rate per second of a counter at each time but the first. A counter that fell started again at zero.

    Example:
        >>> rates([(0.0, 10.0), (60.0, 70.0), (120.0, 30.0)])
        [(60.0, 1.0), (120.0, 0.5)]
    """
    found = []
    for (before, old), (at, new) in itertools.pairwise(points):
        if at > before:
            found.append((at, (new - old if new >= old else new) / (at - before)))
    return found


def increases(points: Sequence[Point]) -> list[Point]:
    """Return how much a counter grew until each time but the first."""
    return [(at, new - old if new >= old else new) for (_, old), (at, new) in itertools.pairwise(points)]


__all__ = ["Point", "RollUp", "combine", "increases", "rates", "roll_up", "step_of"]
