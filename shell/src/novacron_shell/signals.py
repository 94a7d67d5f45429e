"""Signals that end a command which runs until it is stopped, and those that belong to a terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import click


def stop_on_signals() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set until the command ends, so that a service can finish what it does."""
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, lambda *_: stop.set())
            click.get_current_context().call_on_close(partial(signal.signal, number, before))
    return stop


TERMINAL_SIGNALS = ("SIGTSTP", "SIGCONT", "SIGWINCH", "SIGTTOU", "SIGTTIN")
"""Signals of a terminal: stopped by Ctrl-Z, continued, resized, used in the background. Windows has none of them."""


@contextmanager
def terminal_signals_kept() -> Iterator[None]:
    """Restore the handlers of the terminal's signals at the end of the block.

    Textual leaves its own behind: a later Ctrl-Z in the shell would start its application again, without an event loop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for name in TERMINAL_SIGNALS if (number := getattr(signal, name, None))}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: set by a library in C, which Python can't restore
                signal.signal(number, handler)


__all__ = ["TERMINAL_SIGNALS", "stop_on_signals", "terminal_signals_kept"]
