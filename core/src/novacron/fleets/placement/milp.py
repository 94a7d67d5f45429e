"""The exact model of a batch: how many VMs of each class each node takes, by mixed-integer linear programming with HiGHS.

It needs the package `highspy` (`pip install 'novacron[planning]'`). Without it, or if the batch has too many different VMs, there is no
model and the heuristic decides.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from novacron.fleets.placement.classes import RESOURCES, BatchProblem, Counts

VARIABLES = 60_000
"""The most variables of a model: pairs of a class and a node."""


def solve(problem: BatchProblem, seconds: float) -> Counts | None:
    """Place as many VMs as possible.

    Args:
        problem: the classes and nodes.
        seconds: the time limit; the best solution that was found until then counts.

    Returns:
        The VMs of each class for each node; None if there is no solver, no solution, or the batch is too large.
    """
    try:
        import highspy
    except ImportError:
        return None
    pairs = [(number, name) for number, each in enumerate(problem.classes) for name in problem.nodes if name in each.nodes]
    if not pairs or len(pairs) > VARIABLES:
        return None
    solver: Any = highspy  # the package is typed only in part
    model = solver.Highs()
    model.silent()
    model.setOptionValue("time_limit", float(seconds))
    model.setOptionValue("threads", 1)
    model.setOptionValue("mip_rel_gap", 0.0)
    largest = [max((each.size[index] for each in problem.classes), default=0) or 1 for index in range(len(RESOURCES))]
    variables = {
        (number, name): model.addIntegral(lb=0, ub=1 if problem.classes[number].apart else len(problem.classes[number]))
        for number, name in pairs
    }
    for name in problem.nodes:
        here = [number for number in range(len(problem.classes)) if (number, name) in variables]
        for index in range(len(RESOURCES)):
            limit = problem.free[name][index]
            needing = [number for number in here if problem.classes[number].size[index]]
            if limit != float("inf") and needing:
                terms = (variables[n, name] * (problem.classes[n].size[index] / largest[index]) for n in needing)
                model.addConstr(model.qsum(terms) <= limit / largest[index])
    for number, each in enumerate(problem.classes):
        mine = [variables[number, name] for name in problem.nodes if (number, name) in variables]
        if mine:
            model.addConstr(model.qsum(mine) <= len(each))
    for rule in problem.rules:
        by_domain: dict[str | None, list[Any]] = {}
        for number, name in pairs:
            if rule in problem.classes[number].apart:
                by_domain.setdefault(problem.domains[name][rule.name], []).append(variables[number, name])
        for together in by_domain.values():
            model.addConstr(model.qsum(together) <= 1)
    model.maximize(model.qsum(variables.values()))
    values = model.getSolution().col_value
    if not values:
        return None
    found: Counts = {}
    for pair, value in zip(variables, values, strict=True):
        if (count := round(value)) > 0:
            found.setdefault(pair[1], Counter())[pair[0]] = count
    return found if _fits(problem, found) else None


def _fits(problem: BatchProblem, counts: Counts) -> bool:
    """Return whether a solution keeps all capacities exactly; the solver allows tiny errors."""
    return all(
        sum(problem.classes[number].size[index] * count for number, count in pattern.items()) <= problem.free[name][index]
        for name, pattern in counts.items()
        for index in range(len(RESOURCES))
    )


__all__ = ["VARIABLES", "solve"]
