"""Expressions of alert rules: the common part of PromQL, with the same results as Prometheus.

Supported are selectors with matchers, ranges and offsets; arithmetic, comparisons and set operations with `on`, `ignoring`, `group_left`
and `group_right`; the aggregations sum, avg, min, max and count; and the functions in `functions.FUNCTIONS`. All else is rejected by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import msgspec

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.monitoring.alerting.functions import AGGREGATIONS, FUNCTIONS
from novacron.monitoring.alerting.regexes import matches_whole, regex_problem
from novacron.units import parse_duration

COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SETS = frozenset({"and", "or", "unless"})
PRECEDENCE = {"or": 1, "and": 2, "unless": 2, **dict.fromkeys(COMPARISONS, 3), "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6}
LONGEST_RANGE = 30 * 86400.0
"""How far back a rule may look, in seconds: the samples of that time are kept in memory."""
_TOKEN = re.compile(
    r"""\s*(?:(?P<comment>\#[^\n]*)|(?P<duration>(?:\d+(?:ms|[smhdwy]))+)(?![\w.])|(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    |(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<sign>=~|!~|==|!=|>=|<=|[-+*/%^(){}\[\],=<>:@]))""",
    re.VERBOSE,
)
_DEEPEST = 100
LONGEST = 10_000
"""Characters that an expression may have."""
_MOST_OPERATORS = 200
"""Operators that an expression may have: a long chain is as deep as nested parentheses."""


class Number(msgspec.Struct, frozen=True):
    """A number."""

    value: float


class Matcher(msgspec.Struct, frozen=True):
    """A condition for a label: `=`, `!=`, `=~` or `!~`."""

    label: str
    sign: str
    value: str

    def matches(self, given: str) -> bool:
        """Return whether a label's value fulfils the condition. A missing label is empty."""
        if self.sign in ("=", "!="):
            return (given == self.value) == (self.sign == "=")
        return matches_whole(self.value, given) == (self.sign == "=~")


class Selector(msgspec.Struct, frozen=True):
    """The series of a metric; with a `range` in seconds, their samples of that time."""

    metric: str
    matchers: tuple[Matcher, ...] = ()
    range: float | None = None
    offset: float = 0.0


class Call(msgspec.Struct, frozen=True):
    """A function of its arguments."""

    name: str
    arguments: tuple[Any, ...]


class Aggregate(msgspec.Struct, frozen=True):
    """One value for each group of series. `by` is whether `labels` are kept, instead of removed."""

    name: str
    inner: Any
    labels: tuple[str, ...] = ()
    by: bool = True


class Matching(msgspec.Struct, frozen=True):
    """Which series of two sides belong together. `group` is "left" or "right" if that side has many series for one of the other."""

    on: bool = False
    labels: tuple[str, ...] = ()
    group: str | None = None
    include: tuple[str, ...] = ()


class Binary(msgspec.Struct, frozen=True):
    """Two sides and an operator. With `returns_bool` a comparison returns 0 or 1 instead of a part of the left side."""

    sign: str
    left: Any
    right: Any
    returns_bool: bool = False
    matching: Matching = Matching()


Expression = Number | Selector | Call | Aggregate | Binary


class Token(NamedTuple):
    """A word of an expression, and where it starts."""

    kind: str
    text: str
    place: int


def parse(text: str) -> Expression:
    """Return the expression that a text describes.

    Raises:
        InvalidSpecError: a syntax error, or a part of PromQL that is not supported; it is named.

    Example:
        >>> parse('rate(requests_total{job="a"}[5m]) > 3').sign
        '>'
    """
    return _Parser(text).whole()


def selectors(expression: Any) -> Iterator[Selector]:
    """Yield all selectors of an expression."""
    if isinstance(expression, Selector):
        yield expression
    elif isinstance(expression, Call):
        for one in expression.arguments:
            yield from selectors(one)
    elif isinstance(expression, Aggregate):
        yield from selectors(expression.inner)
    elif isinstance(expression, Binary):
        yield from selectors(expression.left)
        yield from selectors(expression.right)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text, self._place, self._depth, self._operators = text, 0, 0, 0
        if len(text) > LONGEST:
            self._unsupported(f"more than {LONGEST} characters")
        self._tokens = list(self._split())

    def whole(self) -> Expression:
        if len(self._tokens) == 1:
            self._fail("an expression", self._peek())
        found = self._binary(1)
        if self._peek().kind != "end":
            self._fail("an operator or the end", self._peek())
        return found

    def _split(self) -> Iterator[Token]:
        place = 0
        while self._text[place:].strip():
            match = _TOKEN.match(self._text, place)
            if match is None:
                self._fail("a valid character", Token("", self._text[place:].strip()[:10], place))
            place = match.end()
            if match.lastgroup != "comment":
                yield Token(str(match.lastgroup), match[str(match.lastgroup)], match.start())
        yield Token("end", "", len(self._text))

    def _peek(self) -> Token:
        return self._tokens[self._place]

    def _next(self) -> Token:
        token = self._tokens[self._place]
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def _take(self, text: str) -> bool:
        if self._peek().text == text and self._peek().kind in ("sign", "word"):
            self._next()
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            self._fail(f"{text!r}", self._peek())

    def _fail(self, wanted: str, token: Token) -> NoReturn:
        given = token.text[:60] or "the end"
        raise InvalidSpecError(
            "not a valid expression",
            problems=[SpecProblem("expr", f"{given} at character {token.place + 1} of {self._text[:80]}", wanted)],
        )

    def _unsupported(self, what: str) -> NoReturn:
        problem = SpecProblem(
            "expr", what, f"functions {', '.join(sorted(FUNCTIONS))}; aggregations {', '.join(sorted(AGGREGATIONS))}"
        )
        raise InvalidSpecError(f"{what} is not supported in expressions", problems=[problem])

    def _binary(self, least: int) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._unsupported(f"more than {_DEEPEST} levels")
        left = self._unary()
        while (rank := PRECEDENCE.get(self._peek().text, 0)) >= least and self._peek().kind in ("sign", "word"):
            sign = self._next().text
            self._operators += 1
            if self._operators > _MOST_OPERATORS:
                self._unsupported(f"more than {_MOST_OPERATORS} operators")
            returns_bool = self._take("bool")
            if returns_bool and sign not in COMPARISONS:
                self._unsupported(f"bool after {sign}")
            matching = self._matching()
            right = self._binary(rank if sign == "^" else rank + 1)
            scalars = [_is_scalar(side) for side in (left, right)]
            if sign in SETS and any(scalars):
                self._unsupported(f"{sign} with a number")
            if sign in COMPARISONS and all(scalars) and not returns_bool:
                self._unsupported("a comparison of two numbers without bool")
            left = Binary(sign, left, right, returns_bool, matching)
        self._depth -= 1
        return left

    def _matching(self) -> Matching:
        if self._peek().text not in ("on", "ignoring") or self._peek().kind != "word":
            return Matching()
        on, labels = self._next().text == "on", self._labels()
        group: str | None = None
        include: tuple[str, ...] = ()
        if self._peek().text in ("group_left", "group_right"):
            group = self._next().text.removeprefix("group_")
            include = self._labels() if self._peek().text == "(" else ()
        return Matching(on, labels, group, include)

    def _labels(self) -> tuple[str, ...]:
        self._expect("(")
        found = []
        while not self._take(")"):
            token = self._next()
            if token.kind != "word":
                self._fail("a label's name", token)
            found.append(token.text)
            if self._peek().text != ")":
                self._expect(",")
        return tuple(found)

    def _unary(self) -> Expression:
        if self._take("-"):
            inner = self._binary(5)
            return Number(-inner.value) if isinstance(inner, Number) else Binary("*", Number(-1.0), inner)
        if self._take("+"):
            return self._binary(5)
        return self._suffixed(self._atom())

    def _atom(self) -> Expression:
        token = self._next()
        if token.text == "(":
            inner = self._binary(1)
            self._expect(")")
            return inner
        if token.kind == "number":
            try:
                return Number(float(int(token.text, 16)) if token.text[:2].lower() == "0x" else float(token.text))
            except (OverflowError, ValueError):
                self._fail("a smaller number", token)
        if token.text == "{":
            self._unsupported("a selector without a metric's name")
        if token.kind != "word":
            self._fail("a metric, a number or a function", token)
        if token.text.lower() in ("inf", "nan"):
            return Number(float(token.text))
        if token.text in AGGREGATIONS and self._peek().text in ("(", "by", "without"):
            return self._aggregate(token.text)
        if self._peek().text == "(":
            return self._call(token.text)
        return self._selector(token.text)

    def _aggregate(self, name: str) -> Expression:
        grouping = self._grouping()
        self._expect("(")
        inner = self._binary(1)
        self._expect(")")
        grouping = grouping or self._grouping() or ((), True)
        return Aggregate(name, inner, *grouping)

    def _grouping(self) -> tuple[tuple[str, ...], bool] | None:
        if self._peek().text in ("by", "without"):
            by = self._next().text == "by"
            return self._labels(), by
        return None

    def _call(self, name: str) -> Expression:
        if name not in FUNCTIONS:
            self._unsupported(f"the function {name}")
        self._expect("(")
        arguments = []
        while not self._take(")"):
            arguments.append(self._binary(1))
            if self._peek().text != ")":
                self._expect(",")
        wanted = FUNCTIONS[name].arguments
        if len(arguments) != len(wanted):
            self._fail(f"{len(wanted)} arguments of {name}", self._peek())
        for argument, kind in zip(arguments, wanted, strict=True):
            ranged = isinstance(argument, Selector) and argument.range is not None
            if (kind == "range") != ranged or (kind == "scalar") != _is_scalar(argument):
                self._fail(f"{name}({', '.join(wanted)})", self._peek())
        return Call(name, tuple(arguments))

    def _selector(self, metric: str) -> Expression:
        matchers: list[Matcher] = []
        if self._take("{"):
            while not self._take("}"):
                matchers.append(self._matcher())
                if self._peek().text != "}":
                    self._expect(",")
        return Selector(metric, tuple(matchers))

    def _matcher(self) -> Matcher:
        label, sign, value = self._next(), self._next(), self._next()
        if label.kind != "word":
            self._fail("a label's name", label)
        if sign.text not in ("=", "!=", "=~", "!~"):
            self._fail("=, !=, =~ or !~", sign)
        if value.kind != "text":
            self._fail("a text in quotes", value)
        text = value.text[1:-1] if value.text[0] == "`" else _unescaped(value.text[1:-1])
        if sign.text in ("=~", "!~") and (problem := regex_problem(text)):
            self._fail(f"a regular expression ({problem})", value)
        return Matcher(label.text, sign.text, text)

    def _suffixed(self, inner: Expression) -> Expression:
        while self._peek().text in ("[", "offset", "@"):
            token = self._next()
            if token.text == "@":
                self._unsupported("@")
            if not isinstance(inner, Selector):
                self._unsupported("a subquery" if token.text == "[" else "an offset of an expression")
            if token.text == "[":
                place = self._peek()
                seconds = self._duration()
                if not 0 < seconds <= LONGEST_RANGE:
                    self._fail("a range of more than 0 s and at most 30d", place)
                if self._peek().text.startswith(":"):
                    self._unsupported("a subquery")
                self._expect("]")
                inner = msgspec.structs.replace(inner, range=seconds)
            else:
                sign = -1.0 if self._take("-") else 1.0
                place = self._peek()
                seconds = self._duration()
                if seconds > LONGEST_RANGE:
                    self._fail("an offset of at most 30d", place)
                inner = msgspec.structs.replace(inner, offset=sign * seconds)
        return inner

    def _duration(self) -> float:
        token = self._next()
        if token.kind != "duration":
            self._fail("a duration such as 5m", token)
        if token.text.endswith("y"):
            self._unsupported("a duration in years")
        return parse_duration(token.text)


def _is_scalar(expression: Any) -> bool:
    if isinstance(expression, Call):
        return FUNCTIONS[expression.name].scalar
    if isinstance(expression, Binary):
        return _is_scalar(expression.left) and _is_scalar(expression.right)
    return isinstance(expression, Number)


def _unescaped(text: str) -> str:
    plain = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda match: plain.get(match[1], match[1]), text)


__all__ = [
    "Aggregate",
    "Binary",
    "Call",
    "Expression",
    "Matcher",
    "Matching",
    "Number",
    "Selector",
    "parse",
    "selectors",
]
