"""A worker: a process that runs flows from the queue, those of dead processes, and what schedules have due."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack, suppress

from novacron.errors import NovaCronError
from novacron.workflow.run.durable import DurableEngine
from novacron.workflow.run.scheduler import Scheduler

POLL = 0.2
"""Seconds between two looks into the queue."""
SWEEP = 1.0
"""Seconds between two looks for due schedules and rows of dead processes."""


def work(
    engine: DurableEngine | None = None, *, concurrency: int = 8, grace: float = 60.0, stop: threading.Event | None = None
) -> None:
    """Run flows until told to stop, by SIGTERM, Ctrl-C or `stop`. Runs under way then have `grace` seconds to end.

    Another worker continues what has not ended by then. Any number of workers may share one database.

    Args:
        engine: what runs the flows; the process's default when None.
        concurrency: how many runs at a time.
        grace: seconds that runs have to end.
        stop: an event that stops the worker.

    Raises:
        StorageError: the database can't be used.
    """
    if engine is None:
        from novacron.workflow.defaults import default_site

        engine = default_site().engine
    over = stop or threading.Event()
    with ExitStack() as handlers:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                handlers.callback(signal.signal, number, signal.signal(number, lambda *_: over.set()))
        engine.join("worker")
        _work_until(over, engine, concurrency)
        until = time.monotonic() + grace
        while engine.active and time.monotonic() < until:
            engine.run_ended.wait(0.1)
            engine.run_ended.clear()
        engine.close()


def _work_until(over: threading.Event, engine: DurableEngine, concurrency: int) -> None:
    scheduler = Scheduler(engine)
    swept = 0.0
    while not over.is_set():
        engine.run_ended.clear()
        with suppress(NovaCronError):  # the database can't be reached: the runs under way report it
            if time.monotonic() - swept > SWEEP:
                scheduler.begin_due()
                engine.forget_dead()
                engine.housekeeping.clean_if_due()
                swept = time.monotonic()
            if (free := concurrency - engine.active) > 0:
                engine.work_on(free)
        engine.run_ended.wait(POLL)


__all__ = ["POLL", "SWEEP", "work"]
