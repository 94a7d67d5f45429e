"""Tracebacks in the shell show no secret and control no terminal."""

import io

from rich.console import Console

from novacron import VMSpec
from novacron.testing.marked import SecretSearch, mark
from novacron_shell.repl.errors import show_traceback

MARK = mark("option", "traceback")


def shown(error):
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    show_traceback(console, error)
    return console.file.getvalue()


def raised(password, spec, words, text):
    try:
        error = ValueError(text)
        error.add_note(f"its token={MARK}")
        raise error
    except ValueError as error:
        return error


def test_a_traceback_with_variables_has_no_secret_and_no_control_sequence(monkeypatch):
    monkeypatch.setenv("NOVACRON_LOCALS", "1")
    spec = VMSpec(name="web1", cloud_init={"user_data": f"#!/bin/sh\n{MARK}", "commands": [MARK]}, native={"token": MARK})
    words = {"argv": ["mysql", "--password", MARK], "user_data": [MARK], "name": "a\x1b]0;owned\x07"}
    text = shown(raised(MARK, spec, words, f"a guest says \x1b]0;owned\x07 \u202e password={MARK}"))
    search = SecretSearch("traceback")
    search.look("the traceback", text)
    assert search.found == []
    assert "\x1b]" not in text
    assert "\u202e" not in text
    assert all(word in text for word in ("web1", "mysql", "owned")), "the variables are shown"


def test_a_traceback_without_variables_shows_none(monkeypatch):
    monkeypatch.delenv("NOVACRON_LOCALS", raising=False)
    assert MARK not in shown(raised(MARK, None, [MARK], "x"))
