"""Parsers of the command line end with an error of usage or a result, whatever they are given. The soak tries 10,000 inputs for each."""

from __future__ import annotations

import os

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novacron.errors import NovaCronError
from novacron_shell.commands.operations import _argument
from novacron_shell.options import pairs
from novacron_shell.paths import select_path

pytestmark = pytest.mark.timeout(6000 if os.environ.get("NOVACRON_SOAK") else 300)
MANY = settings(
    max_examples=10_000 if os.environ.get("NOVACRON_SOAK") else 60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
JSON = st.text(alphabet='{}[]",:0123456789.eE+-truefalsn \\\n', max_size=40)
DEEP = "[" * 50_000 + "]" * 50_000
RECORDS = [{"name": "web1", "disks": [{"size": 1}], "tags": ["a"]}, {"name": "db1"}]


def ends(parse, *arguments):
    """Call a parser: it returns a value, or the error of a user."""
    try:
        parse(*arguments)
    except (NovaCronError, click.UsageError):
        pass


@given(st.text(max_size=40) | st.builds("{}={}".format, st.sampled_from(["metadata", "size", "a.b", "", "disk-limit"]), JSON))
@MANY
def test_fields_with_json(text):
    ends(pairs, text)
    ends(pairs, text, "size")
    if not text.partition("=")[2].startswith("@"):  # the name of a file
        ends(_argument, text)


STEPS = [
    "[*]",
    "[0]",
    "[-1]",
    "[-:]",
    "[1:]",
    "[:-1]",
    "..size",
    ".*",
    ".name",
    "['name']",
    "[?(@.name == 'x')]",
    "[?(@.a > 1)]",
    "[",
    "?",
]


@given(
    st.text(max_size=30).map("$".__add__) | st.lists(st.sampled_from(STEPS), max_size=8).map(lambda steps: "$" + "".join(steps))
)
@MANY
def test_paths(path):
    ends(select_path, path, RECORDS)


@pytest.mark.parametrize("text", [f"metadata={DEEP}", "vcpus=" + "9" * 5000, "size=" + "9" * 5000], ids=["deep", "long", "size"])
def test_bombs_in_fields_are_refused_or_text(text):
    ends(pairs, text)
    assert isinstance(_argument(text)[1], str)


@pytest.mark.parametrize("path", [f"$[{'9' * 5000}]", "$[-:]", f"$[{'9' * 5000}:]", f"$[?(@.name == {DEEP[:50_000]})]"], ids=len)
def test_bombs_in_paths_are_refused(path):
    ends(select_path, path, RECORDS)
