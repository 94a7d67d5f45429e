"""Checks the units of rules: bytes are not compared with seconds, and a share from 0 to 1 is not compared with 90."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.monitoring import builtin
from novacron.monitoring.alerting.expressions import COMPARISONS, Aggregate, Binary, Call, Expression, Number, Selector
from novacron.monitoring.alerting.rules import Rule
from novacron.records.series import MetricDefinition

Unit = tuple[tuple[str, int], ...]
"""The exponent of each base unit, sorted by name: bytes per second are `(("bytes", 1), ("seconds", -1))`."""
PLAIN: Unit = ()
SECONDS: Unit = (("seconds", 1),)
BYTES: Unit = (("bytes", 1),)
LARGEST_PERCENTAGE = 100.0
PER_SECOND = frozenset({"rate", "irate", "deriv"})
COUNTS = frozenset({"count_over_time", "present_over_time", "changes", "resets", "absent"})

SHARES = {
    "novacron_pool_allocated_bytes": {"novacron_pool_capacity_bytes"},
    "novacron_pool_available_bytes": {"novacron_pool_capacity_bytes"},
    "novacron_host_memory_free_bytes": {"novacron_host_memory_bytes"},
    "novacron_vm_memory_usable_bytes": {"novacron_vm_memory_guest_bytes"},
    "novacron_vm_memory_used_bytes": {"novacron_vm_memory_bytes", "novacron_vm_memory_maximum_bytes"},
    "novacron_vm_memory_bytes": {"novacron_vm_memory_maximum_bytes"},
    "novacron_host_vms_running": {"novacron_host_vms"},
}
"""Metrics that are parts of others."""
FLAGS = frozenset(
    one.name
    for one in (
        *builtin.VM_STATES.values(),
        *builtin.VM_AUTOSTART.values(),
        *(builtin.HOST_OWN["up"], builtin.SLOW["agent"], builtin.OWN["source_up"], builtin.OWN["run_needs_person"]),
    )
)
"""Metrics that are 0 or 1."""


def wrong_units(rules: Iterable[Rule], definitions: Mapping[str, MetricDefinition]) -> list[SpecProblem]:
    """Return the parts of rules that compare or add values of different units, or compare a share with a percentage.

    Args:
        rules: the rules.
        definitions: the known metrics. The units of other metrics are not known, so they fit to everything.

    Example:
        >>> rule = Rule.of({"alert": "A", "expr": "novacron_pool_available_bytes > novacron_vm_cpu_seconds_total"})
        >>> [problem.given for problem in wrong_units([rule], builtin.definitions())]
        ['bytes > seconds']
    """
    problems = []
    for rule in rules:
        try:
            _Check(definitions, rule.clear_threshold).unit(rule.parsed)
        except InvalidSpecError as error:
            problems += [SpecProblem(f"{rule.alert}.expr", one.given, one.allowed) for one in error.problems]
    return problems


class _Check:
    def __init__(self, definitions: Mapping[str, MetricDefinition], clear: float | None) -> None:
        self._definitions, self._clear = definitions, clear

    def unit(self, one: Expression) -> Unit | None:
        """Return the unit of an expression, None if it is not known or fits to everything."""
        if isinstance(one, Selector):
            known = self._definitions.get(one.metric)
            return None if known is None else ((known.unit, 1),) if known.unit else PLAIN
        if isinstance(one, Aggregate):
            inner = self.unit(one.inner)
            return PLAIN if one.name == "count" else inner
        if isinstance(one, Call):
            return self._call(one)
        return self._binary(one) if isinstance(one, Binary) else None

    def _call(self, call: Call) -> Unit | None:
        if call.name == "time":
            return SECONDS
        inner = self.unit(call.arguments[0])
        if call.name in COUNTS:
            return PLAIN
        return _product(inner, SECONDS, -1) if call.name in PER_SECOND else inner

    def _binary(self, one: Binary) -> Unit | None:
        left, right = self.unit(one.left), self.unit(one.right)
        if one.sign in ("*", "/"):
            sign = 1 if one.sign == "*" else -1
            left, right = (PLAIN if isinstance(side, Number) else unit for side, unit in ((one.left, left), (one.right, right)))
            return _product(left, right, sign)
        if one.sign in ("and", "unless"):
            return left
        if one.sign == "^":
            return None
        if left is not None and right is not None and left != right:
            _refuse(f"{_named(left)} {one.sign} {_named(right)}", "values of the same unit on both sides")
        if one.sign in COMPARISONS:
            self._check_thresholds(one, left, right)
        return PLAIN if one.returns_bool else right if left is None else left

    def _check_thresholds(self, one: Binary, left: Unit | None, right: Unit | None) -> None:
        """Check the numbers that a value is compared with. `clear_threshold` belongs to the comparison with the threshold."""
        for value, unit, number in ((one.left, left, one.right), (one.right, right, one.left)):
            if isinstance(number, Number):
                for threshold in (number.value, *(() if self._clear is None else (self._clear,))):
                    _check_threshold(value, unit, one.sign, threshold)


def _check_threshold(value: Expression, unit: Unit | None, sign: str, threshold: float) -> None:
    if _is_share(value) and not 0 <= threshold <= 1:
        _refuse(f"a value from 0 to 1 {sign} {threshold:g}", "a number from 0 to 1: 90 % is 0.9")
    if unit == BYTES and isinstance(value, Selector) and 0 < abs(threshold) <= LARGEST_PERCENTAGE:
        _refuse(f"bytes {sign} {threshold:g}", "a number of bytes, or a share: divide by the metric of the whole size")


def _is_share(one: Any) -> bool:
    """Return whether an expression is a share of something, or 0 or 1: then it is never below 0 and never above 1."""
    if isinstance(one, Selector):
        return one.metric in FLAGS
    if not isinstance(one, Binary):
        return False
    if one.sign == "/" and isinstance(one.left, Selector) and isinstance(one.right, Selector):
        return one.right.metric in SHARES.get(one.left.metric, ())
    return one.sign == "-" and one.left == Number(1.0) and _is_share(one.right)


def _product(one: Unit | None, other: Unit | None, sign: int) -> Unit | None:
    if one is None or other is None:
        return None
    powers = Counter(dict(one))
    for name, power in other:
        powers[name] += sign * power
    return tuple(sorted((name, power) for name, power in powers.items() if power))


def _named(unit: Unit) -> str:
    """Return a unit in words.

    Example:
        >>> _named((("bytes", 1), ("seconds", -1))), _named(()), _named((("seconds", -1),))
        ('bytes per seconds', 'a plain number', '1 per seconds')
    """
    above = " * ".join(name if power == 1 else f"{name}^{power}" for name, power in unit if power > 0)
    below = " * ".join(name if power == -1 else f"{name}^{-power}" for name, power in unit if power < 0)
    return f"{above or '1'} per {below}" if below else above or "a plain number"


def _refuse(given: str, allowed: str) -> None:
    raise InvalidSpecError("a rule with wrong units", problems=[SpecProblem("expr", given, allowed)])


__all__ = ["wrong_units"]
