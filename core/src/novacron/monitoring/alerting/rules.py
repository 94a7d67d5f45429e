"""Rules of alerts, with Prometheus' words, and files of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from novacron.errors import UNKNOWN, InvalidSpecError, NovaCronError, SpecProblem
from novacron.monitoring.alerting.evaluation import OPERATORS, Evaluation
from novacron.monitoring.alerting.expressions import COMPARISONS, Binary, Expression, Number, parse, selectors
from novacron.monitoring.alerting.templates import check_template
from novacron.monitoring.alerting.vectors import Vector, union
from novacron.monitoring.layouts import Labels
from novacron.records.series import LABEL_NAME
from novacron.redaction import described
from novacron.units import parse_duration

NoData = Literal["keep", "alert", "resolve"]
NO_DATA = ("keep", "alert", "resolve")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule. Make it with `Rule.of`, which checks it.

    Attributes:
        alert: its name, which is the label `alertname` of its alerts.
        expr: the condition; see `novacron.monitoring.alerting.expressions`.
        hold: seconds that the condition must hold before the alert fires (`for`).
        keep_firing_for: seconds that the alert keeps firing after the condition has ended.
        labels: labels to add; templates are allowed.
        annotations: texts for people; templates are allowed.
        clear_threshold: once the alert fires, it resolves only when the value has passed this one instead of the one in `expr`.
        no_data: what happens to an alert whose series has no current value: it keeps its state, it fires, or it resolves.
    """

    alert: str
    expr: str
    hold: float = 0.0
    keep_firing_for: float = 0.0
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    clear_threshold: float | None = None
    no_data: NoData = "keep"
    parsed: Any = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Rule:
        """Return the rule with these fields: alert, expr, for, keep_firing_for, labels, annotations, clear_threshold, no_data.

        Raises:
            InvalidSpecError: it names each invalid field.

        Example:
            >>> Rule.of({"alert": "HostUnreachable", "expr": "novacron_host_up == 0", "for": "2m"}).hold
            120.0
        """
        name = str(fields.get("alert", ""))
        problems: list[SpecProblem] = []
        for field in sorted(set(fields) - _FIELDS, key=str):
            problems.append(SpecProblem(field, UNKNOWN, "one of " + ", ".join(sorted(_FIELDS))))
        if not name or not isinstance(fields.get("alert"), str):
            problems.append(SpecProblem("alert", name or "nothing", "a name"))
        seconds = {field: _seconds(fields, field, problems) for field in ("for", "keep_firing_for")}
        texts = {field: _texts(fields, field, problems) for field in ("labels", "annotations")}
        parsed = _attempt(lambda: parse("" if fields.get("expr") is None else str(fields["expr"])), problems)
        clear, no_data = fields.get("clear_threshold"), fields.get("no_data", "keep")
        if no_data not in NO_DATA:
            problems.append(SpecProblem("no_data", described(no_data), "one of " + ", ".join(NO_DATA)))
        if clear is not None and (
            isinstance(clear, bool) or not isinstance(clear, (int, float)) or not -math.inf < clear < math.inf
        ):
            problems.append(SpecProblem("clear_threshold", described(clear), "a number"))
        elif clear is not None and parsed is not None:
            _check_clear(parsed, float(clear), problems)
        if problems:
            raise InvalidSpecError(f"invalid rule {name!r}", problems=problems)
        return cls(
            alert=name,
            expr=str(fields["expr"]),
            hold=seconds["for"],
            keep_firing_for=seconds["keep_firing_for"],
            labels=texts["labels"],
            annotations=texts["annotations"],
            clear_threshold=None if clear is None else float(clear),
            no_data=no_data,
            parsed=parsed,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that `of` takes; fields with their defaults are left out."""
        found: dict[str, Any] = {"alert": self.alert, "expr": self.expr}
        found |= {"for": f"{self.hold:g}s"} if self.hold else {}
        found |= {"keep_firing_for": f"{self.keep_firing_for:g}s"} if self.keep_firing_for else {}
        found |= {name: dict(getattr(self, name)) for name in ("labels", "annotations") if getattr(self, name)}
        found |= {"clear_threshold": self.clear_threshold} if self.clear_threshold is not None else {}
        return found | ({"no_data": self.no_data} if self.no_data != "keep" else {})

    def for_prometheus(self) -> dict[str, Any]:
        """Return the rule for a rule file of Prometheus, without the fields that Prometheus does not have."""
        return {name: value for name, value in self.as_dict().items() if name not in ("clear_threshold", "no_data")}

    def horizons(self) -> dict[str, float]:
        """Return how many seconds of samples of each metric the rule needs."""
        found: dict[str, float] = {}
        for one in selectors(self.parsed):
            found[one.metric] = max(found.get(one.metric, 300.0), (one.range or 300.0) + max(0.0, one.offset))
        return found

    def conditions(self, evaluation: Evaluation, firing: Iterable[Any]) -> tuple[dict[Labels, float], Vector | None]:
        """Return the series for which the condition holds, and all series that have a current value.

        The second one is None if the expression does not compare, so that missing data can't be told from a condition that ended.

        Args:
            evaluation: computes expressions at one time.
            firing: labels of series whose alert fires: for these `clear_threshold` counts.
        """
        top = self.parsed
        if not _compares(top):
            return dict(evaluation.vector(top).pairs()), _present(top, evaluation)
        present = evaluation.vector(top.left)
        compare, threshold = OPERATORS[top.sign], top.right.value
        found = dict(present.filtered(compare, threshold).pairs())
        if self.clear_threshold is not None:
            for labels in firing:
                value = present.get(labels)
                if value is not None and compare(value, self.clear_threshold):
                    found[labels] = value
        return found, present


_FIELDS = frozenset({"alert", "expr", "for", "keep_firing_for", "labels", "annotations", "clear_threshold", "no_data"})


def _compares(expression: Expression) -> bool:
    """Return whether an expression compares series with a number."""
    return (
        isinstance(expression, Binary)
        and expression.sign in COMPARISONS
        and not expression.returns_bool
        and isinstance(expression.right, Number)
    )


def _present(expression: Expression, evaluation: Evaluation) -> Vector | None:
    """Return the series that an expression would have without its comparisons; None if it has none."""
    if not isinstance(expression, Binary):
        return None
    if expression.sign in COMPARISONS and not expression.returns_bool:
        return evaluation.vector(expression.left)
    if expression.sign in ("and", "unless"):
        return _present(expression.left, evaluation)
    if expression.sign == "or":
        left, right = _present(expression.left, evaluation), _present(expression.right, evaluation)
        return None if left is None or right is None else union([left, right])
    return None


def _check_clear(parsed: Expression, clear: float, problems: list[SpecProblem]) -> None:
    if not _compares(parsed) or not isinstance(parsed, Binary) or parsed.sign in ("==", "!="):
        problems.append(
            SpecProblem("clear_threshold", f"{clear:g}", "only with an expr that compares with a number by >, <, >= or <=")
        )
    elif (clear > parsed.right.value) if parsed.sign in (">", ">=") else (clear < parsed.right.value):
        problems.append(
            SpecProblem("clear_threshold", f"{clear:g}", f"on the other side of the threshold {parsed.right.value:g}")
        )


def _seconds(fields: Mapping[str, Any], field: str, problems: list[SpecProblem]) -> float:
    try:
        return parse_duration(fields.get(field, 0))
    except NovaCronError:
        problems.append(SpecProblem(field, described(fields[field]), "a duration such as 5m"))
        return 0.0


def _texts(fields: Mapping[str, Any], field: str, problems: list[SpecProblem]) -> dict[str, str]:
    given = fields.get(field) or {}
    if not isinstance(given, Mapping):
        problems.append(SpecProblem(field, described(given), "names with texts"))
        return {}
    for name, text in given.items():
        if not LABEL_NAME.fullmatch(str(name)) or (field == "labels" and name in ("alertname", "__name__")):
            problems.append(SpecProblem(f"{field}.{name}", str(name), "a name of letters, digits and underscores"))
        _attempt(lambda name=name, text=text: check_template(text, f"{field}.{name}"), problems)
    return {str(name): str(text) for name, text in given.items()}


def _attempt(work: Any, problems: list[SpecProblem]) -> Any:
    try:
        return work()
    except InvalidSpecError as error:
        problems += error.problems
        return None


def read_rules(content: Any, source: str) -> list[Rule]:
    """Return the rules of a file: a list under `rules`, or `groups` as in a rule file of Prometheus.

    Recording rules are rejected: their results are no series here.

    Raises:
        InvalidSpecError: it names each invalid rule.
    """
    if not isinstance(content, Mapping):
        raise InvalidSpecError(
            f"no rules in {source}", problems=[SpecProblem("content", type(content).__name__, "rules or groups")]
        )
    found: list[Rule] = []
    problems: list[SpecProblem] = []
    given = list(_listed(content, "rules", problems))
    for group in _listed(content, "groups", problems):
        given += _listed(group, "rules", problems) if isinstance(group, Mapping) else [group]
    for number, fields in enumerate(given, 1):
        if not isinstance(fields, Mapping):
            problems.append(SpecProblem(f"rules.{number}", described(fields), "a rule with alert and expr"))
        elif "record" in fields:
            problems.append(SpecProblem(f"rules.{number}", "record", "alerting rules; write its expression into expr"))
        else:
            try:
                found.append(Rule.of(fields))
            except InvalidSpecError as error:
                name = fields.get("alert") or number
                problems += [SpecProblem(f"rules.{name}.{p.path}", p.given, p.allowed) for p in error.problems]
    names = [rule.alert for rule in found]
    if problems:
        raise InvalidSpecError(f"invalid rules in {source}", problems=problems)
    if not names and not set(content) & {"route", "receivers", "inhibit_rules"}:
        raise InvalidSpecError(f"no rules in {source}", problems=[SpecProblem("rules", "nothing", "rules or groups")])
    return found


def _listed(content: Mapping[str, Any], name: str, problems: list[SpecProblem]) -> list[Any]:
    """Return the list with this name; an empty one if it is missing or no list."""
    found = content.get(name) or []
    if isinstance(found, list):
        return found
    problems.append(SpecProblem(name, type(found).__name__, "a list"))
    return []


def prometheus_file(rules: Sequence[Rule], group: str = "novacron") -> dict[str, Any]:
    """Return rules as the content of a rule file of Prometheus."""
    return {"groups": [{"name": group, "rules": [rule.for_prometheus() for rule in rules]}]}


__all__ = ["NO_DATA", "NoData", "Rule", "prometheus_file", "read_rules"]
