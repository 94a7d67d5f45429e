"""Decides what a typed line is: Python, a `:` command, a `!` program or a question with `?`, and runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import click

from novacron.errors import NovaCronError
from novacron_shell.repl.commands import CommandLine
from novacron_shell.repl.documentation import asked, document
from novacron_shell.repl.environment import Environment
from novacron_shell.repl.transcript import COMMAND, HELP, PROGRAM


def is_special(text: str) -> bool:
    """Whether a line is no Python: a `:` command, a `!` program or a question.

    Example:
        >>> [is_special(line) for line in (":vm list", "!ls", "vms?", "a = 1", "'why?'")]
        [True, True, True, False, False]
    """
    line = text.strip()
    return line.startswith((COMMAND, PROGRAM)) or (asked(line) is not None and "#" not in line)


class Interpreter:
    """Runs lines in a session.

    Args:
        shell: the session.
        python: runs a line of Python and returns its value.
    """

    def __init__(self, shell: Environment, python: Callable[[str], object]) -> None:
        self.shell, self._python = shell, python
        self.commands = CommandLine(shell)
        self.code = 0
        """Exit code of the last `:` command or `!` program."""

    def evaluate(self, line: str) -> object:
        """Run a line and return its value; what is no Python prints its result and returns None."""
        text, self.code = line.strip(), 0
        if not is_special(text):
            return self._python(line)
        if text.startswith(PROGRAM):
            self._program(text[1:].strip())
        elif text.startswith(COMMAND):
            self._command(text[1:].strip())
        else:
            subject, source = asked(text) or ("", False)
            self.shell.console.print(document(subject, self.shell.names, source=source))
        return None

    def plain(self, line: str) -> str:
        """Return a line as a script needs it: an alias is replaced by its command."""
        text = line.strip()
        return COMMAND + self.shell.config.expanded(text[1:].strip()) if text.startswith(COMMAND) else line

    def _command(self, line: str) -> None:
        if line.endswith(f" {HELP}"):
            line = f"{line[:-1]}--help"
        try:
            self.code = self.commands.run(line or "help")
        except (NovaCronError, KeyboardInterrupt):
            raise
        except (click.ClickException, click.Abort, OSError) as error:
            from novacron_shell.main import report

            self.shell.error = error
            self.code = report(error)

    def _program(self, line: str) -> None:
        """Run a program through the user's shell, as it was typed."""
        sys.stdout.flush()
        if line:
            self.code = subprocess.call(line, shell=True)  # noqa: S602 - the user typed it
            if self.code:
                print(f"exit code {self.code}", file=sys.stderr)


def command(shell: Environment) -> Callable[[str], int]:
    """Return the function `command` for the session's names: it runs a command line and returns its exit code."""

    def command(line: str) -> int:
        """Run a command of NovaCron, such as command("vm list web*"), and return its exit code.

        Raises:
            NovaCronError: as the command raises it.
        """
        return CommandLine(shell).run(line.removeprefix(COMMAND))

    return command


__all__ = ["Interpreter", "command", "is_special"]
