"""A worker: a process that takes runs from the queue, and those of processes that have ended."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress

from novacron.errors import NovaCronError
from novacron.workflow.run.durable import durable_engine

SWEEP = 1.0
"""Seconds between two looks for processes that have ended."""


def work(*, concurrency: int = 8, grace: float = 60.0, stop: threading.Event | None = None) -> None:
    """Run flows until told to stop, by SIGTERM, Ctrl-C or `stop`; runs under way then have `grace` seconds to end.

    What has not ended by then is gone on with by another worker. Any number of workers may share one database.

    Args:
        concurrency: how many runs at a time.

    Raises:
        StorageError: the database can't be used.
    """
    engine = durable_engine()
    over = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
    engine.launch(worker=True, concurrency=concurrency)
    while not over.wait(SWEEP):
        with suppress(NovaCronError):  # the database can't be reached: the runs under way tell of it
            engine.adopt()
    until = time.monotonic() + grace
    while engine.busy and time.monotonic() < until:
        time.sleep(0.1)
    engine.leave()


__all__ = ["SWEEP", "work"]
