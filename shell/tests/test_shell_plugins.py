"""Plugins extend the interactive shell; one that fails costs its own additions only."""

from pathlib import Path

import click
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from novacron.errors import AlreadyExistsError, InvalidSpecError
from novacron.plugins import hookimpl
from novacron.plugins.application import ApplicationPlugins
from novacron.state import StateDirectory
from novacron_shell.repl.extension import Extension, extend
from novacron_shell.repl.shell import Shell
from novacron_shell.repl.toolbar import Toolbar
from novacron_shell.repl.watching import ProgressPolicy

EXAMPLE = Path(__file__).parent / "example_extension"


@pytest.fixture
def plugins(tmp_path):
    plugins = ApplicationPlugins(StateDirectory(tmp_path))
    yield plugins
    plugins.close()


@pytest.fixture
def extended(session, plugins):
    plugins.load_path(EXAMPLE)
    assert extend(session.shell, plugins.hook.extend_shell) == []
    return session


def test_the_example_adds_a_name_a_command_a_display_and_completion(extended, capsys):
    extended.run(":ticket OPS-1")
    assert "replace the disk" in capsys.readouterr().out
    extended.run(":help")
    assert "ticket" in capsys.readouterr().out
    value = extended.interpreter.evaluate("Ticket('OPS-2')")
    extended.shell.displays.show(value, extended.shell.console)
    assert "ticket OPS-2: patch web1" in extended.printed.getvalue()
    from prompt_toolkit.completion import CompleteEvent

    from novacron_shell.repl.completer import ShellCompleter

    completer = ShellCompleter(extended.shell, extended.interpreter.commands)
    found = completer.get_completions(Document("Ticket('"), CompleteEvent())
    assert [each.text for each in found] == ["OPS-1", "OPS-2"]
    assert [text for text, _, _ in extended.interpreter.commands.complete("tick")] == ["ticket"]


def test_the_example_adds_a_key_and_an_item_of_the_toolbar(extended, tmp_path):
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        toolbar = Toolbar(extended.shell)
        shell = Shell(extended.shell, toolbar, str(tmp_path / "history"), ProgressPolicy(extended.shell.jobs))
        assert "2 tickets" in "".join(part[1] for part in toolbar.text())
        keys.send_text("\x1b[17~1 + 1\r")
        assert shell.read() == "1 + 1"
    assert extended.shell.names["pressed"] is True


def test_a_plugin_that_fails_is_named_and_the_others_work(session, plugins):
    class Broken:
        @hookimpl
        def extend_shell(self, shell):
            shell.names["before"] = 1
            raise RuntimeError("no licence")

    plugins.load_path(EXAMPLE)
    plugins.register(Broken(), "broken")
    problems = extend(session.shell, plugins.hook.extend_shell)
    assert problems == ["plugin broken: RuntimeError: no licence"]
    assert "ticket" in session.shell.commands


def test_a_taken_command_and_an_unknown_key_are_refused(session):
    extension = Extension(session.shell)
    with pytest.raises(AlreadyExistsError, match="why"):
        extension.add_command(click.Command("why"))
    with pytest.raises(InvalidSpecError, match="no such key"):
        extension.add_key("hyper-x", print, "")


def test_an_item_of_the_toolbar_that_raises_is_left_out(session):
    extension = Extension(session.shell)
    extension.add_toolbar_item(lambda: 1 / 0)
    extension.add_toolbar_item(lambda: "evil \x1b[2J")
    text = "".join(part[1] for part in Toolbar(session.shell).text())
    assert "evil \\x1b[2J" in text


def test_a_display_that_returns_nothing_leaves_the_usual_one(session):
    Extension(session.shell).add_display(int, lambda value: None)
    session.shell.displays.show(7, session.shell.console)
    assert session.printed.getvalue().strip() == "7"
