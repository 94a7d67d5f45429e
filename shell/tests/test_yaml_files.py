"""Files that users give to commands are read with limits."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novacron.errors import InvalidSpecError, NovaCronError
from novacron_shell.yaml_files import load


def test_plain_files_are_read():
    assert load(io.StringIO("name: web1\nvcpus: 2\n")) == {"name": "web1", "vcpus": 2}
    assert load(io.StringIO('{"name": "web1"}')) == {"name": "web1"}
    assert load(io.StringIO("")) is None
    assert load(io.StringIO("a: &x [1]\nb: *x\n")) == {"a": [1], "b": [1]}


def test_an_alias_bomb_is_refused():
    """Nine aliases of nine values each stand for a billion values."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(InvalidSpecError, match="too many values"):
        load(io.StringIO("\n".join(lines)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &a [*a]", "alias of itself"),
        ("a:\tb: c", "valid YAML"),
        ("a: [", "line 1"),
        ("x" * (4 * 2**20 + 1), "too long"),
        ("[" * 5000, "valid YAML"),
        ("a: 2026-99-99", "valid YAML"),
    ],
    ids=["loop", "tab", "open", "long", "deep", "date"],
)
def test_bad_files_are_refused(text, says):
    with pytest.raises(InvalidSpecError, match=says):
        load(io.StringIO(text))


@pytest.mark.parametrize(
    "text",
    [
        "a: *Hunt3r2",
        "a: !Hunt3r2 x",
        "a: %Hunt3r2",
        "a: @Hunt3r2",
        "a: 'Hunt3r2",
        "a: Hunt3r2: x",
        "Hunt3r2\nb: c",
        "{a: &Hunt3r2 [*Hunt3r2]}",
    ],
)
def test_errors_do_not_repeat_the_content(text):
    """A password that is not quoted may be anything."""
    with pytest.raises(InvalidSpecError) as caught:
        load(io.StringIO(text))
    assert "Hunt3r2" not in f"{caught.value} {caught.value.hint}"


@given(st.text(max_size=200) | st.text("&*[]{}:-!|> ab1\n\t\"'", max_size=60))
@settings(max_examples=10_000 if os.environ.get("NOVACRON_SOAK") else 100, deadline=None)
def test_any_text_is_read_or_refused(text):
    try:
        load(io.StringIO(text))
    except NovaCronError:
        pass
