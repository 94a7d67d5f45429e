"""Runs what is piped into `novacron shell`: Python and `:` commands, without greeting, prompt or colours."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator

import click

from novacron.errors import NovaCronError
from novacron_shell.repl.coroutines import compiled, run_code
from novacron_shell.repl.environment import Environment
from novacron_shell.repl.interpreter import Interpreter, is_special


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the parts of a text with the number of their first line: each line that is no Python alone, and the Python between them.

    Example:
        >>> list(blocks("a = 1\\nb = 2\\n:vm list\\nprint(a)"))
        [(1, 'a = 1\\nb = 2\\n'), (3, ':vm list'), (4, 'print(a)')]
    """
    python: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if is_special(line) and not line[:1].isspace() and _complete("".join(python)):
            if python:
                yield first, "".join(python)
            yield number, line.strip()
            python, first = [], number + 1
        else:
            python.append(line)
    if python:
        yield first, "".join(python)


def run_piped(shell: Environment, text: str) -> int:
    """Run a text and return the exit code: the first failure ends it.

    Raises:
        NovaCronError: as the code raises it.
    """
    interpreter = Interpreter(shell, lambda line: run_code(compiled(line), shell.names, shell.coroutines))
    for number, part in blocks(text):
        if is_special(part):
            interpreter.evaluate(part)
            if interpreter.code:
                return interpreter.code
            continue
        try:
            run_code(compiled("\n" * (number - 1) + part), shell.names, shell.coroutines)
        except (NovaCronError, click.ClickException, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the user's own error, not one of NovaCron
            frames = error.__traceback__.tb_next if error.__traceback__ else None
            traceback.print_exception(type(error), error, frames, file=sys.stderr)
            return 1
    return 0


def _complete(python: str) -> bool:
    """Whether Python is complete: a line that begins with `:` may also be in a string of several lines."""
    try:
        compiled(python)
    except SyntaxError:
        return False
    return True


__all__ = ["blocks", "run_piped"]
