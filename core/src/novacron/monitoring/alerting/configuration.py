"""Who is told about alerts, and how: routes, receivers, inhibition. The words are those of Alertmanager."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from novacron.errors import UNKNOWN, InvalidSpecError, NovaCronError, SpecProblem
from novacron.monitoring.alerting.expressions import Matcher
from novacron.monitoring.alerting.regexes import regex_problem
from novacron.monitoring.alerting.rules import Rule, read_rules
from novacron.monitoring.alerting.sinks import SINKS, check_sink
from novacron.redaction import described
from novacron.units import parse_duration

SIGNS = ("=~", "!~", "!=", "=")


def matcher(text: str) -> Matcher:
    """Return the matcher that a text describes.

    Raises:
        InvalidSpecError: it is none.

    Example:
        >>> matcher('name=~"web.*"')
        Matcher(label='name', sign='=~', value='web.*')
    """
    import re

    found = (
        re.fullmatch(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", text, re.DOTALL) if isinstance(text, str) else None
    )
    if found is None:
        raise InvalidSpecError("invalid matcher", problems=[SpecProblem("matcher", described(text), "LABEL=VALUE, !=, =~ or !~")])
    value = found[3][1:-1] if len(found[3]) > 1 and found[3][0] == found[3][-1] == '"' else found[3]
    if found[2] in ("=~", "!~") and (problem := regex_problem(value)):
        raise InvalidSpecError(
            "invalid matcher", problems=[SpecProblem("matcher", described(text), f"a regular expression: {problem}")]
        )
    return Matcher(found[1], found[2], value)


def matches(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether labels fulfil all matchers."""
    return all(one.matches(labels.get(one.label, "")) for one in matchers)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts a receiver gets, in which groups and how often. Times are seconds."""

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] = ("alertname",)
    group_wait: float = 30.0
    group_interval: float = 300.0
    repeat_interval: float = 4 * 3600.0


class Inhibition(msgspec.Struct, frozen=True, kw_only=True):
    """While a source alert fires, target alerts with equal labels send no notifications."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()

    def key(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Return the labels that source and target have in common. A missing label equals an empty one."""
        return tuple([labels.get(name, "") for name in self.equal])


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Rules, routes, receivers and inhibitions.

    Attributes:
        unread: why files that were stored, or rules of plugins, can't be read, by what they are. They are left out.
    """

    rules: tuple[Rule, ...] = ()
    routes: tuple[Route, ...] = (Route(receiver="log"),)
    receivers: dict[str, tuple[dict[str, Any], ...]] = msgspec.field(default_factory=lambda: {"log": ({"type": "log"},)})
    inhibitions: tuple[Inhibition, ...] = ()
    unread: dict[str, str] = msgspec.field(default_factory=dict)

    def tokens(self) -> list[str]:
        """Return the names of the secrets that sinks send as bearer tokens, sorted."""
        return sorted({sink["token"] for sinks in self.receivers.values() for sink in sinks if "token" in sink})

    def route(self, labels: Mapping[str, str]) -> Route:
        """Return the first route that an alert with these labels takes; the last one takes all."""
        return next(route for route in self.routes if matches(route.matchers, labels))


TOP = frozenset({"rules", "groups", "route", "receivers", "inhibit_rules"})
_TIMES = ("group_wait", "group_interval", "repeat_interval")


def read_configuration(content: Any, source: str) -> Configuration:
    """Return what a TOML or YAML file says about alerts.

    Raises:
        InvalidSpecError: it names each invalid field.
    """
    rules = read_rules(content, source)
    problems = [
        SpecProblem(str(name), UNKNOWN, "one of " + ", ".join(sorted(TOP))) for name in sorted(set(content) - TOP, key=str)
    ]
    receivers = _receivers(content.get("receivers") or [], problems)
    routes = _routes(content.get("route") or {}, problems)
    inhibitions = _inhibitions(content.get("inhibit_rules") or [], problems)
    known = receivers or Configuration().receivers
    problems += [
        SpecProblem("route.receiver", described(route.receiver), "one of " + ", ".join(known))
        for route in routes
        if route.receiver not in known
    ]
    if problems:
        raise InvalidSpecError(f"invalid alerts in {source}", problems=problems)
    defaults = Configuration()
    return Configuration(
        rules=tuple(rules),
        routes=tuple(routes) or (Route(receiver=next(iter(known))),),
        receivers=receivers or defaults.receivers,
        inhibitions=tuple(inhibitions),
    )


def _receivers(given: Any, problems: list[SpecProblem]) -> dict[str, tuple[dict[str, Any], ...]]:
    found: dict[str, tuple[dict[str, Any], ...]] = {}
    for number, one in enumerate(given if isinstance(given, list) else [given]):
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str) or not isinstance(one.get("sinks"), list):
            problems.append(SpecProblem(f"receivers.{number}", type(one).__name__, "name and sinks"))
            continue
        if one["name"] in found:
            problems.append(SpecProblem(f"receivers.{number}.name", one["name"], "a name that no other receiver has"))
        for place, sink in enumerate(one["sinks"]):
            problems += check_sink(sink, f"receivers.{one['name']}.sinks.{place}")
        found[one["name"]] = tuple(sink for sink in one["sinks"] if isinstance(sink, dict) and sink.get("type") in list(SINKS))
    return found


def _routes(given: Any, problems: list[SpecProblem]) -> list[Route]:
    if not isinstance(given, Mapping):
        problems.append(SpecProblem("route", described(given), "receiver, group_by and times"))
        return []
    if not given:
        return []
    if "matchers" in given:
        problems.append(
            SpecProblem("route.matchers", described(given["matchers"]), "nothing: the top route takes all alerts; use routes")
        )
    routes = given.get("routes") or []
    if not isinstance(routes, list) or not all(isinstance(one, Mapping) for one in routes):
        problems.append(SpecProblem("route.routes", type(routes).__name__, "a list of routes"))
        return []
    inner = [{**{k: v for k, v in given.items() if k not in ("routes", "matchers")}, **one} for one in routes]
    whole = {name: value for name, value in given.items() if name not in ("routes", "matchers")}
    return [route for fields in (*inner, whole) if (route := _route(fields, problems)) is not None]


def _route(fields: Mapping[str, Any], problems: list[SpecProblem]) -> Route | None:
    allowed = {"receiver", "matchers", "group_by", *_TIMES}
    before = len(problems)
    problems += [
        SpecProblem(f"route.{name}", UNKNOWN, "one of " + ", ".join(sorted(allowed)))
        for name in sorted(set(fields) - allowed, key=str)
    ]
    times: dict[str, float] = {}
    for name in _TIMES:
        try:
            times |= {name: parse_duration(fields[name])} if name in fields else {}
        except NovaCronError:
            problems.append(SpecProblem(f"route.{name}", described(fields[name]), "a duration such as 30s"))
    matchers = _matchers(fields.get("matchers", ()), "route.matchers", problems)
    group_by = fields.get("group_by", ["alertname"])
    if not isinstance(group_by, list) or not all(isinstance(name, str) for name in group_by):
        problems.append(SpecProblem("route.group_by", described(group_by), "a list of labels"))
    if len(problems) > before:
        return None
    return Route(receiver=str(fields.get("receiver", "log")), matchers=matchers, group_by=tuple(group_by), **times)


def _inhibitions(given: Any, problems: list[SpecProblem]) -> list[Inhibition]:
    found = []
    for number, one in enumerate(given if isinstance(given, list) else [given]):
        allowed = {"source_matchers", "target_matchers", "equal"}
        if not isinstance(one, Mapping) or set(one) - allowed:
            problems.append(SpecProblem(f"inhibit_rules.{number}", described(one), "source_matchers, target_matchers and equal"))
            continue
        if not isinstance(one.get("equal") or [], list):
            problems.append(SpecProblem(f"inhibit_rules.{number}.equal", type(one["equal"]).__name__, "a list of labels"))
            continue
        sides = [
            _matchers(one.get(name, ()), f"inhibit_rules.{number}.{name}", problems)
            for name in ("source_matchers", "target_matchers")
        ]
        found.append(Inhibition(source=sides[0], target=sides[1], equal=tuple(map(str, one.get("equal") or ()))))
    return found


def _matchers(given: Any, field: str, problems: list[SpecProblem]) -> tuple[Matcher, ...]:
    try:
        return tuple(matcher(text) for text in ([given] if isinstance(given, str) else given))
    except (InvalidSpecError, TypeError):
        problems.append(SpecProblem(field, described(given), "a list of matchers such as severity=critical"))
        return ()


def combined(some: Sequence[Configuration], defaults: Configuration) -> Configuration:
    """Return several files as one: all rules and inhibitions; receivers and routes of the files that have some, else the default ones."""
    own = [one for one in some if one.receivers != defaults.receivers or one.routes != defaults.routes]
    receivers = {name: sinks for one in own for name, sinks in one.receivers.items()}
    routes = [route for one in own for route in one.routes if route.matchers] + [
        route for one in own for route in one.routes if not route.matchers
    ]
    return Configuration(
        rules=tuple(rule for one in some for rule in one.rules),
        routes=tuple(routes) or defaults.routes,
        receivers=receivers or defaults.receivers,
        inhibitions=(*(rule for one in some for rule in one.inhibitions), *defaults.inhibitions),
    )


__all__ = ["Configuration", "Inhibition", "Route", "combined", "matcher", "matches", "read_configuration"]
