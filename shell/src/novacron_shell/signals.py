"""Signals that end a command which runs until it is stopped."""

from __future__ import annotations

import signal
import threading
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


__all__ = ["stop_on_signals"]
