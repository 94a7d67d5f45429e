"""Unit tests of rules, in the format of `promtool test rules`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.monitoring.alerting.configuration import read_configuration
from novacron.monitoring.alerting.expressions import Selector, parse
from novacron.monitoring.alerting.rules import Rule
from novacron.monitoring.alerting.samples import Samples
from novacron.monitoring.alerting.states import AlertStates
from novacron.records.record import Record
from novacron.units import parse_duration

_PART = re.compile(r"(?P<first>[-+]?[0-9.eE]+|NaN|[-+]?Inf|_)(?:(?P<step>[-+][0-9.]+(?:[eE][-+]?\d+)?)?x(?P<times>\d+))?")
MOST = 100_000


class RuleTest(Record, frozen=True):
    """The result of one expectation: what the rule said, and what was expected. Each alert is its labels."""

    alert: str
    at: float
    expected: tuple[dict[str, str], ...]
    found: tuple[dict[str, str], ...]

    @property
    def passed(self) -> bool:
        """Whether both are the same."""
        return self.expected == self.found


def expanded(text: str) -> list[float | None]:
    """Return the values that Prometheus' notation describes; None where a value is missing.

    Raises:
        InvalidSpecError: not such a notation.

    Example:
        >>> expanded("1 _ 0+10x2 5x1")
        [1.0, None, 0.0, 10.0, 20.0, 5.0, 5.0]
    """
    found: list[float | None] = []
    for word in str(text).split():
        match = _PART.fullmatch(word)
        if match is None or int(match["times"] or 0) > MOST:
            raise InvalidSpecError("invalid values", problems=[SpecProblem("values", word, "values such as 1 _ 0+10x5 3x4")])
        times = int(match["times"] or 0)
        if match["first"] == "_":
            found += [None] * max(1, times)
            continue
        first, step = float(match["first"]), float(match["step"] or 0)
        found += [first + step * number for number in range(times + 1)]
    return found


def filled(
    given: Sequence[Mapping[str, Any]], interval: float
) -> Iterator[tuple[float, list[tuple[str, dict[str, str], float]]]]:
    """Yield the samples of input series by time, from 0 on."""
    series = []
    for one in given:
        parsed = parse(str(one.get("series", "")))
        if not isinstance(parsed, Selector) or any(m.sign != "=" for m in parsed.matchers):
            raise InvalidSpecError(
                "invalid test", problems=[SpecProblem("series", str(one.get("series")), 'a series such as up{host="a"}')]
            )
        series.append((parsed.metric, {m.label: m.value for m in parsed.matchers}, expanded(one.get("values", ""))))
    for number in range(max((len(values) for _, _, values in series), default=0)):
        row = [
            (metric, labels, value)
            for metric, labels, values in series
            if number < len(values) and (value := values[number]) is not None and not math.isnan(value)
        ]
        yield number * interval, row


def run_tests(content: Any, rules: Sequence[Rule] = (), source: str = "tests") -> list[RuleTest]:
    """Run the tests of a file.

    Args:
        content: `evaluation_interval`, `tests` with `interval`, `input_series` and `alert_rule_test`, as promtool reads them; and rules of
            its own under `rules` or `groups`, if any.
        rules: further rules that are tested.
        source: the file's name for errors.

    Returns:
        One result for each `alert_rule_test`, in order.

    Raises:
        InvalidSpecError: the file is invalid.
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("tests"), list):
        raise InvalidSpecError(f"no tests in {source}", problems=[SpecProblem("tests", "nothing", "a list of tests")])
    own = {name: content[name] for name in ("rules", "groups") if name in content}
    tested = [*rules, *(read_configuration(own, source).rules if own else ())]
    interval = parse_duration(content.get("evaluation_interval", "1m"))
    return [result for test in content["tests"] for result in _run(test, tested, interval)]


def _run(test: Mapping[str, Any], rules: Sequence[Rule], interval: float) -> Iterator[RuleTest]:
    expected = sorted(test.get("alert_rule_test") or [], key=lambda one: parse_duration(one["eval_time"]))
    inputs = list(filled(test.get("input_series") or [], parse_duration(test.get("interval", "1m"))))
    until = max((parse_duration(one["eval_time"]) for one in expected), default=0.0)
    samples, states, at = Samples(), AlertStates(rules), 0.0
    waiting = list(expected)
    while at <= until:
        while inputs and inputs[0][0] <= at:
            time, row = inputs.pop(0)
            for metric, labels, value in row:
                samples.add(metric, labels, time, value)
        states.evaluate(samples, at)
        while waiting and parse_duration(waiting[0]["eval_time"]) < at + interval:
            yield _result(waiting.pop(0), states)
        at += interval


def _result(test: Mapping[str, Any], states: AlertStates) -> RuleTest:
    name = str(test.get("alertname", ""))
    wanted = [{"alertname": name, **(one.get("exp_labels") or {})} for one in test.get("exp_alerts") or []]
    found = [one.alert.labels for one in states.known.values() if one.alert.state == "firing" and one.alert.rule == name]
    return RuleTest(alert=name, at=parse_duration(test["eval_time"]), expected=_ordered(wanted), found=_ordered(found))


def _ordered(some: Sequence[dict[str, str]]) -> tuple[dict[str, str], ...]:
    return tuple(sorted(some, key=lambda labels: sorted(labels.items())))


__all__ = ["RuleTest", "expanded", "filled", "run_tests"]
