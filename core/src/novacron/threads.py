"""Work in threads, with a deadline for whoever waits.

A hypervisor's SDK may block without end, and Python can't stop a thread. So the work runs in a daemon thread, and the caller stops waiting
at its deadline. This module is the only place that starts such threads.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Item = TypeVar("Item")
SLICE = 0.5
"""Seconds that is waited at a time. Python does not notice a Ctrl-C that arrives in the moment before it begins to wait for a lock."""


def in_thread(work: Callable[[], T], name: str, future: Future[T] | None = None) -> Future[T]:
    """Run `work` in a daemon thread and return the future of its result; `future` is used if given."""
    carrier: Future[T] = Future() if future is None else future

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - the future carries it to whoever waits
            carrier.set_exception(error)
        else:
            carrier.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return carrier


def within(seconds: float, work: Callable[[], T], name: str, discard: Callable[[T], object] = bool) -> T:
    """Run `work` in a thread and return its result.

    Args:
        seconds: how long to wait.
        work: what to do.
        name: the thread's name.
        discard: called with a result that came after the deadline.

    Raises:
        TimeoutError: it did not end in time; it may still run.
    """
    future = in_thread(work, name)
    try:
        return result_of(future, seconds)
    except TimeoutError:
        if future.done() and future.exception() is not None:
            raise
        future.add_done_callback(lambda late: None if late.exception() else discard(late.result()))
        raise


def wait_done(future: Future[Any], timeout: float | None = None) -> None:
    """Wait until a future is done, at most `timeout` seconds. Ctrl-C is noticed whenever it arrives."""
    until = math.inf if timeout is None else time.monotonic() + timeout
    while not future.done() and (left := until - time.monotonic()) > 0:
        with suppress(TimeoutError, CancelledError):
            Future.exception(future, min(SLICE, left))


def result_of(future: Future[T], timeout: float | None = None) -> T:
    """Return the result of a future as its own method `result` does. Ctrl-C is noticed whenever it arrives.

    Raises:
        TimeoutError: it was not done within `timeout` seconds.
    """
    wait_done(future, timeout)
    return future.result(0)


def as_done(futures: Iterable[Future[T]]) -> Iterator[Future[T]]:
    """Return futures in the order in which they are done. Ctrl-C is noticed whenever it arrives."""
    done = SimpleQueue[Future[T]]()
    waiting = {*futures}
    for future in waiting:
        future.add_done_callback(done.put)
    left = len(waiting)
    while left:
        try:
            future = done.get(timeout=SLICE)
        except Empty:
            continue
        left -= 1
        yield future


def fan_out(
    items: Iterable[Item], work: Callable[[Item], Any], *, seconds: float | None, limit: int, name: str
) -> list[Future[Any]]:
    """Call `work` with each item, at most `limit` at a time, and return the futures in the order of the items.

    All futures are done, except for those of calls that took more than `seconds`. A call that hangs gives up its place at its deadline,
    so it delays no other by more than that. Calls see the context variables of the caller, such as the locks that it holds.
    """
    queue = deque(items)
    answers: list[Future[Any]] = []
    running: dict[Future[Any], float] = {}
    while queue or running:
        while queue and len(running) < limit:
            item = queue.popleft()
            context = copy_context()
            answer = in_thread(lambda item=item, run=context.run: run(work, item), f"{name}-{len(answers)}")  # type: ignore[misc]
            answers.append(answer)
            running[answer] = time.monotonic() + seconds if seconds is not None else float("inf")
        pause = min(running.values()) - time.monotonic()
        wait_for(running, min(SLICE, max(0.0, pause)), FIRST_COMPLETED)
        now = time.monotonic()
        running = {answer: end for answer, end in running.items() if not answer.done() and end > now}
    return answers


__all__ = ["SLICE", "as_done", "fan_out", "in_thread", "result_of", "wait_done", "within"]
