"""Commands of the command line within the shell: `:vm list web*` is `novacron vm list web*`, in process."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import click

from novacron_shell.cli import MainGroup, cli
from novacron_shell.repl.completion.names import matching
from novacron_shell.repl.completion.suggestions import ARGUMENTS
from novacron_shell.repl.environment import Environment, ShellSettings

OWN_PROCESS = ("worker",)
"""Commands that run in a process of their own, because they take over signals and the engine of workflows."""
RAW = ("time", "alias")
"""Commands of the shell whose argument is the rest of the line as it is, quotes and all."""


RESOURCES: Mapping[str, str] = {
    "vm": "vms",
    "disk": "vms",
    "nic": "vms",
    "snapshot": "vms",
    "guest": "vms",
    "resources": "vms",
    "console": "vms",
    "migrate": "vms",
    "network": "networks",
    "pool": "pools",
    "template": "templates",
    "filter": "filters",
    "image": "images",
    "host": "hosts",
    "flow": "flows",
}
"""Group of commands to the kind of resource that its commands take."""


class ShellGroup(MainGroup):
    """The commands of the command line, those of the shell itself, and those that plugins added to the session."""

    added: Mapping[str, click.Command] = MappingProxyType({})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._own()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._own().get(cmd_name) or super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands of the shell"):
            formatter.write_dl([(name, command.get_short_help_str(80)) for name, command in sorted(self._own().items())])
        super().format_commands(ctx, formatter)

    def _own(self) -> Mapping[str, click.Command]:
        from novacron_shell.repl.words import WORDS

        return {**self.added, **WORDS}


class CommandLine:
    """Runs and completes command lines in a session.

    Args:
        shell: the session.
    """

    def __init__(self, shell: Environment) -> None:
        self.shell = shell
        settings = {**cli.context_settings, "max_content_width": 110}
        self.group = ShellGroup(
            name="novacron", params=cli.params, callback=cli.callback, context_settings=settings, help=cli.help
        )
        self.group.added = shell.commands

    def run(self, line: str) -> int:
        """Run a command line and return its exit code.

        The terminal and the signal handlers are afterwards as they were before. SystemExit becomes the exit code.

        Args:
            line: the command and its arguments, without "novacron".

        Raises:
            NovaCronError: as the command raises it.
            click.ClickException: the arguments are invalid.
            click.Abort, KeyboardInterrupt: the user interrupted it.
        """
        arguments = self.arguments(line)
        if arguments[:1] == ["shell"] and not {"-h", "--help"} & set(arguments):
            raise click.UsageError("this is the interactive shell already")
        if arguments and arguments[0] in OWN_PROCESS and not {"-h", "--help"} & set(arguments):
            return subprocess.call([sys.executable, "-c", "from novacron_shell.main import main; main()", *arguments])
        settings = ShellSettings(self.shell)
        with _terminal_kept():
            try:
                code = self.group.main(arguments, prog_name="novacron", standalone_mode=False, obj=settings)
            except SystemExit as error:
                code = error.code
            except click.exceptions.NoArgsIsHelpError as error:
                print(error.format_message())
                code = 0
        return code if isinstance(code, int) else 0

    def arguments(self, line: str) -> list[str]:
        """Return the words of a line, with its alias replaced.

        Raises:
            click.UsageError: a quotation mark is missing.
        """
        line = self.shell.config.expanded(line.strip())
        word, _, rest = line.partition(" ")
        if word in RAW:
            return [word, rest.strip()] if rest.strip() else [word]
        try:
            return shlex.split(line)
        except ValueError as error:
            raise click.UsageError(f"{error}: {line}") from None

    def complete(self, line: str) -> Iterator[tuple[str, int, str]]:
        """Complete the last word of a command line.

        Yields:
            The text, how many characters before the end it replaces, and its help.
        """
        from click.shell_completion import ShellComplete

        done, incomplete, typed = split(line)
        done = shlex.split(self.shell.config.expanded(shlex.join(done))) if done else done
        completion = ShellComplete(self.group, {"obj": ShellSettings(self.shell)}, "novacron", "_NONE")
        if not done:
            for name, target in self.shell.config.aliases.items():
                if name.startswith(incomplete):
                    yield name, len(typed), target
        found = completion.get_completions(done, incomplete)
        if not found and not incomplete.startswith("-"):
            for name, about in matching(self._resources(done), incomplete):
                yield quoted(name), len(typed), about
        for item in found:
            if item.type == "plain":
                yield quoted(item.value), len(typed), item.help or ""
            else:
                yield from _paths(incomplete, len(typed), folders=item.type == "dir")

    def _resources(self, done: Sequence[str]) -> dict[str, str]:
        """Return the names that an argument without completion of its own may take: by the option before it, or by the group."""
        from novacron_shell.repl.completer import names_of

        last = done[-1] if done else ""
        kind = (
            ARGUMENTS.get(last.lstrip("-").replace("-", "_")) if last.startswith("--") else RESOURCES.get(done[0] if done else "")
        )
        return names_of(self.shell).of(kind) if kind else {}


def split(line: str) -> tuple[list[str], str, str]:
    """Return the complete words of a line, the last one without its quotation marks, and the last one as typed.

    Example:
        >>> split("vm list we"), split("vm 'start' "), split("vm start 'my v")
        ((['vm', 'list'], 'we', 'we'), (['vm', 'start'], '', ''), (['vm', 'start'], 'my v', "'my v"))
    """
    words: list[str] = []
    word, begins, quote, escaped = "", None, "", False
    for place, letter in enumerate(line):
        if begins is None and not letter.isspace():
            begins = place
        if escaped:
            word, escaped = word + letter, False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif letter == quote:
            quote = ""
        elif not quote and letter in "'\"":
            quote = letter
        elif not quote and letter.isspace():
            if begins is not None:
                words.append(word)
            word, begins = "", None
        else:
            word += letter
    return words, word, "" if begins is None else line[begins:]


def quoted(text: str) -> str:
    """Return a word that the command line reads as this text; patterns need no quotation marks."""
    return text if not set(text) & set(" \t\n'\"\\") and text else shlex.quote(text)


def _paths(incomplete: str, length: int, *, folders: bool) -> Iterator[tuple[str, int, str]]:
    from prompt_toolkit.completion import CompleteEvent, PathCompleter
    from prompt_toolkit.document import Document

    for found in PathCompleter(only_directories=folders, expanduser=True).get_completions(Document(incomplete), CompleteEvent()):
        yield quoted(incomplete + found.text), length, ""


@contextmanager
def _terminal_kept() -> Iterator[None]:
    """Restore the terminal's mode and the handlers of SIGINT and SIGTERM afterwards, whatever a command did to them."""
    undo = [*_handlers(), *_mode()]
    try:
        yield
    finally:
        sys.stdout.flush()
        for step in undo:
            step()


def _handlers() -> Sequence[Callable[[], Any]]:
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        return []
    known = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    return [lambda: [signal.signal(number, handler) for number, handler in known.items() if handler is not None]]


def _mode() -> Sequence[Callable[[], Any]]:
    try:
        import termios
    except ImportError:  # Windows
        return []
    if not (sys.stdin and sys.stdin.isatty()):
        return []
    descriptor = sys.stdin.fileno()
    mode = termios.tcgetattr(descriptor)
    return [lambda: termios.tcsetattr(descriptor, termios.TCSADRAIN, mode), lambda: os.isatty(1) and print("\x1b[?25h", end="")]


__all__ = ["CommandLine", "ShellGroup", "quoted", "split"]
