"""Asks before something is destroyed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from novacron.text import printable_line

F = TypeVar("F", bound=Callable[..., Any])


def yes_option(command: F) -> F:
    """Give a destructive command `-y/--yes`."""
    option: Callable[[F], F] = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
    return option(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person at the terminal. Without a terminal only `--yes` is an answer.

    Args:
        question: What would be destroyed, such as "delete web1 with its disks".
        yes: Whether `--yes` was given.

    Raises:
        click.Abort: The person said no.
        click.UsageError: There is no terminal, and no `--yes`.
    """
    if yes:
        return
    text = printable_line(question)
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"will not {text} without --yes, because standard input is not a terminal", click.get_current_context()
        )
    click.confirm(f"{text}?", abort=True, err=True)


__all__ = ["confirm", "yes_option"]
