"""Regular expressions of matchers: the syntax of Prometheus, the results of other engines, and never a long time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novacron.errors import InvalidSpecError
from novacron.monitoring.alerting.configuration import matcher
from novacron.monitoring.alerting.expressions import Matcher, parse
from novacron.monitoring.alerting.regexes import matches_whole, regex_problem

LONG = "a" * 20_000
ATOMS = st.sampled_from(["a", "b", ".", "-", "[ab]", "[^a]", "[a-z]", r"\.", r"\w", "x|a", ""])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("({0[0]}|{0[1]})".format),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{1,2}", "*?"])).map("({0[0]}){0[1]}".format),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, st.text("abx-.", max_size=6))
def test_the_results_are_those_of_other_engines(pattern, text):
    """Python's engine decides the same for texts that are too short to be a danger."""
    assert regex_problem(pattern) == ""
    assert matches_whole(pattern, text) == (re.fullmatch(pattern, text) is not None)


@pytest.mark.parametrize(
    "text",
    [
        "(a|a)*b",
        "(a|aa)+b",
        "(.|a|[a-z])*b",
        "(a+)+$b",
        "(a*)*b",
        "((ab?)+c*)+x",
        "(a?){100}a{100}b",
        "(.*)*-(.*)*",
        "a*" * 200 + "b",
    ],
)
def test_expressions_that_take_other_engines_years_are_decided_at_once(text):
    """Python's engine does not end for these within the time that a test may take."""
    assert not matcher(f"name=~{text}").matches(LONG)
    assert parse(f"m{{a=~`{text}`}} > 1").left.matchers[0].matches(LONG) is False


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("([a-z]+-)*x", "web-db-x"),
        ("(([0-9]{1,3}\\.)+[0-9]+,?)+", "10.0.0.1,10.0.0.2"),
        ("web.*", "web1"),
        ("(web|db).+", "db1"),
        ("[(+*]+", "(*"),
        ("a\\(b+\\)+", "a(bb)"),
        ("(?i)WEB", "web"),
        ("(?P<name>web)[[:digit:]]", "web1"),
        ("", ""),
        ("a\\{99999999999}", "a{99999999999}"),
        ("Zürich.?", "Zürich✓"),
    ],
)
def test_lawful_expressions_are_accepted_and_match_the_whole_label(text, label):
    assert Matcher("a", "=~", text).matches(label)
    assert not Matcher("a", "!~", text).matches(label)
    assert not Matcher("a", "=~", text).matches(f"\x00{label}") or text == ""
    assert parse(f"m{{a=~`{text}`}} > 1").left.matchers[0].matches(label)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(", "missing"),
        ("(?=a)b", "(?="),
        ("(?<!a)b", "(?<"),
        ("(a)\\1", "\\1"),
        ("a{5000}", "repetition size"),
        ("a{99999999999}", "repetition size"),
        ("a{1,99999999999}", "repetition size"),
        ("(a{1000}){1000}", "repetition size"),
        ("\\pL{1000}", "too large"),
        ("[z-a]", "range"),
        ("\ud800", "Unicode"),
    ],
)
def test_other_expressions_are_refused_with_their_reason(text, reason):
    assert reason in regex_problem(text)
    with pytest.raises(InvalidSpecError, match="regular expression"):
        parse(f"m{{a=~`{text}`}} > 1")
    with pytest.raises(InvalidSpecError, match="regular expression"):
        matcher(f"a=~{text}")


def test_a_label_that_is_no_valid_unicode_is_only_another_label():
    assert Matcher("a", "=~", "x.").matches("x\udc80")
    assert not Matcher("a", "=~", "y.").matches("x\udc80")
