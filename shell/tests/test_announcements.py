"""Messages from threads: none is lost, whatever the prompt is doing when they come."""

import io
import os
import signal
import threading

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from novacron_shell.repl.shell import Shell
from novacron_shell.repl.toolbar import Toolbar
from novacron_shell.repl.watching import ProgressPolicy


@pytest.fixture
def prompt(session, tmp_path):
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        shell = Shell(session.shell, Toolbar(session.shell), str(tmp_path / "history"), ProgressPolicy(session.shell.jobs))
        yield session, shell, keys


def test_a_message_that_comes_between_two_prompts_is_printed_with_the_next_one(prompt):
    session, shell, keys = prompt
    shell.announce("early")
    keys.send_text("1 + 1\r")
    assert shell.read() == "1 + 1"
    shell.announce("between")
    keys.send_text("2 + 2\r")
    shell.read()
    shell.eval("None")
    assert session.printed.getvalue().split() == ["early", "between"]


def test_a_message_that_comes_while_the_prompt_closes_is_kept_and_raises_nothing(prompt, monkeypatch):
    """The thread looks whether there is a prompt; before it can post, the prompt's event loop is closed."""
    session, shell, _ = prompt

    class Closed:
        def call_soon_threadsafe(self, _):
            raise RuntimeError("Event loop is closed")

    monkeypatch.setattr(shell, "_typing", True)
    monkeypatch.setattr(shell.app, "_is_running", True)
    monkeypatch.setattr(shell.app, "loop", Closed())
    session.shell.jobs.end(session.shell.jobs.begin("migrate web1", "kvm1", None))
    shell._leave()
    monkeypatch.setattr(shell.app, "_is_running", False)
    shell.eval("None")
    assert "✔ job 1: migrate web1 done" in session.printed.getvalue()


def test_leaving_a_prompt_that_has_ended_does_no_harm(prompt):
    _, shell, keys = prompt
    shell.app.after_render += lambda _: shell._leave()
    keys.send_text("1 + 1\r")
    try:
        shell.read()
    except EOFError:
        pass
    shell._leave()


def test_a_message_of_a_thread_is_no_control_sequence(prompt):
    session, shell, _ = prompt
    shell.announce("evil \x1b[2J")
    shell.eval("None")
    assert "evil \\x1b[2J" in session.printed.getvalue()
    assert isinstance(session.printed, io.StringIO)


@pytest.mark.parametrize(
    "interrupt",
    [
        lambda: os.kill(os.getpid(), signal.SIGINT),
        lambda: signal.pthread_kill(
            threading.get_ident(), signal.SIGINT
        ),  # the main thread is not woken, as if it came too early
    ],
    ids=["to the process", "to another thread"],
)
def test_an_interrupt_that_is_a_signal_clears_the_line_and_leaves_one_prompt(prompt, interrupt):
    """Before the terminal is in raw mode, Ctrl-C is a signal to the process; the prompt runs in another thread by then."""
    _, shell, keys = prompt
    sent = []

    def rendered(_):
        if shell.default_buffer.text == "half a line" and not sent:
            sent.append("signal")
            interrupt()

    def begun(_):
        if sent == ["signal"]:
            sent.append("line")
            keys.send_text("1 + 1\r")

    shell.app.after_render += rendered
    shell.app.on_reset += begun
    keys.send_text("half a line")
    assert shell.read() == "1 + 1"
    assert sent == ["signal", "line"]
    assert not shell.app.is_running
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.set_wakeup_fd(-1) == -1
