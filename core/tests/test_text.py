"""Foreign text that is shown: every character that a terminal obeys is escaped, and nothing else is changed."""

import json
import unicodedata

import pytest

from novacron.text import escaped_json, printable, printable_line, unprintable

OBEYED = [
    *map(chr, range(32)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029",
    "\ud800",
    "\udfff",
]
"""Controls, marks and overrides of direction, line separators, lone surrogates."""


@pytest.mark.parametrize(("function", "kept"), [(printable, "\n\t"), (printable_line, ""), (escaped_json, "\n\t")])
def test_of_all_characters_only_these_are_escaped(function, kept):
    changed = {chr(code) for code in range(0x11000) if function(chr(code)) != chr(code)}
    known = set(OBEYED) | {chr(code) for code in range(0xD800, 0xE000)}
    assert changed == known - set(kept)
    assert {unicodedata.category(c) for c in changed} <= {"Cc", "Cf", "Zl", "Zp", "Cs"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("\x00\x7f\x9b", r"\x00\x7f\x9b"),
        ("a\u202eb\u2028c", r"a\u202eb\u2028c"),
        ("\ud800", r"\ud800"),
        ("a\rb", r"a\rb"),
        ("two\nlines\tand ü€😀", "two\nlines\tand ü€😀"),
    ],
)
def test_an_escape_is_the_one_of_python(text, shown):
    assert printable(text) == shown


def test_on_one_line_also_newlines_and_tabs_are_escaped():
    assert printable_line("a\nb\tc\rd\x1b") == r"a\nb\tc\rd\x1b"


def test_escaped_json_is_the_same_value():
    value = {"name": ".".join(c for c in OBEYED if c >= "\x7f"), "plain": "ü"}
    text = escaped_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert printable_line(text) == text
    assert escaped_json("\x9b") == "\\u009b"


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({}, ""),
        ({"lines": True}, "\n\r\t"),
        ({"data": True}, "".join(map(chr, (*range(1, 32), *range(0x7F, 0xA0), 0x2028, 0x2029)))),
    ],
)
def test_of_all_characters_only_these_are_refused_with_the_reason(options, allowed):
    reasons = {code: unprintable(f"web{chr(code)}1", **options) for code in (*range(0x3000), *range(0xD7F0, 0xE010))}
    controls = {*range(1, 32), *range(0x7F, 0xA0), 0x2028, 0x2029} - set(map(ord, allowed))
    wrong = dict.fromkeys(controls, "text without control characters")
    wrong |= dict.fromkeys(range(0xD800, 0xE000), "valid Unicode") | {0: "text without a NUL character"}
    assert {code: reason for code, reason in reasons.items() if reason} == wrong


def test_a_surrogate_is_named_before_a_control():
    assert unprintable("\ud800\0\x1b") == "valid Unicode"
    assert unprintable("\x1b\0") == "text without a NUL character"
