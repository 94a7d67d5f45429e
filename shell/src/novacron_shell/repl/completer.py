"""Completion at the prompt: `:` commands from the tree of commands, everything else as ptpython does."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from ptpython.completer import PythonCompleter

from novacron.text import printable_line
from novacron_shell.repl.commands import CommandLine
from novacron_shell.repl.environment import Environment
from novacron_shell.repl.transcript import COMMAND


class ShellCompleter(Completer):
    """The completer of the prompt.

    Args:
        shell: the session.
        commands: completes `:` commands.
    """

    def __init__(self, shell: Environment, commands: CommandLine) -> None:
        self._commands = commands
        self._python = PythonCompleter(lambda: shell.names, lambda: shell.names, lambda: True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield completions of the text before the cursor."""
        text = document.text_before_cursor
        if text.lstrip().startswith(COMMAND):
            for found, length, meta in self._commands.complete(text.lstrip()[1:]):
                yield Completion(found, -length, display=printable_line(found), display_meta=printable_line(meta))
            return
        yield from self._python.get_completions(document, complete_event)


__all__ = ["ShellCompleter"]
