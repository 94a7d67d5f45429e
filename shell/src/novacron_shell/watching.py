"""Prints a list again and again: `--watch`."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from novacron_shell.settings import Settings

CLEAR = "\x1b[H\x1b[2J"
"""Moves the cursor of a terminal to the top and clears it."""


@dataclass(frozen=True)
class Listing:
    """How a list is printed.

    Attributes:
        columns: columns to show; empty for the usual ones.
        sort: column to sort by.
        interval: seconds between two lists; None prints one.
    """

    columns: tuple[str, ...] = ()
    sort: str | None = None
    interval: float | None = None

    def run(self, settings: Settings, command: Callable[[], Any]) -> Any:
        """Run the command that prints the list, once or until Ctrl-C. On a terminal each list replaces the one before it."""
        settings.columns, settings.sort = self.columns, self.sort
        if self.interval is None:
            return command()
        while True:
            settings.columns, settings.sort = self.columns, self.sort
            settings.unreachable.clear()
            if sys.stdout.isatty():
                self._replaced(command)
            else:
                command()
                sys.stdout.flush()
            pause(self.interval)

    @staticmethod
    def _replaced(command: Callable[[], Any]) -> None:
        """Run the command, then show all of its output at once, so that the screen does not flicker."""
        terminal, screen = sys.stdout, _Screen()
        sys.stdout = screen
        try:
            command()
        finally:
            sys.stdout = terminal
        terminal.write(CLEAR + screen.getvalue())
        terminal.flush()


class _Screen(io.StringIO):
    """Keeps what is printed for a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """It is shown on a terminal later: tables have colours."""
        return True


def pause(seconds: float) -> None:
    """Wait; Ctrl-C ends it."""
    threading.Event().wait(seconds)


__all__ = ["Listing", "pause"]
