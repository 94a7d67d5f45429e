"""Ctrl-C while an operation runs: the user chooses between cancelling it, leaving it to run in the background, and waiting on."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from novacron.text import printable_line
from novacron_shell.repl.jobs import JobBook, Listed
from novacron_shell.repl.watching import ProgressPolicy


class DetachedError(BaseException):
    """The user left a job to run in the background. No `except Exception` may swallow it."""

    def __init__(self, jobs: list[Listed]) -> None:
        super().__init__(", ".join(job.title for job in jobs))
        self.jobs = jobs


def choice(answer: str) -> str:
    """Return "cancel", "detach" or "continue" for what was typed; nothing typed means continue.

    Example:
        >>> [choice(text) for text in ("c", "Cancel", "d", "", "x")]
        ['cancel', 'cancel', 'detach', 'continue', 'continue']
    """
    letter = answer.strip().lower()[:1]
    return {"c": "cancel", "d": "detach"}.get(letter, "continue")


def ask_terminal(question: str) -> str:
    """Print a question and return the line that is typed.

    It reads from the descriptor: `input` may not be called in a signal handler, which runs between any two instructions.

    Raises:
        EOFError: the input ended.
    """
    os.write(2, question.encode())
    answer = os.read(0, 1024)
    if not answer:
        raise EOFError
    return answer.decode(errors="replace")


@contextmanager
def interrupts_call(act: Callable[[], object]) -> Iterator[None]:
    """Call `act` in a thread for each SIGINT within the block; only in the main thread, where signals arrive.

    Python calls the handler of a signal in the main thread. If the signal comes just before that thread begins to wait for a lock, the
    handler is called when the waiting ends. Python writes the signal to the wakeup descriptor at once, and the thread listens there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    sender, receiver = socket.socketpair()
    sender.setblocking(False)

    def listen() -> None:
        while numbers := receiver.recv(64):
            for _ in range(numbers.count(signal.SIGINT)):
                act()

    listener = threading.Thread(target=listen, name="interrupts", daemon=True)
    listener.start()
    handler = signal.signal(signal.SIGINT, lambda *_: None)
    descriptor = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        signal.signal(signal.SIGINT, handler)
        sender.close()
        listener.join()
        receiver.close()


class Interrupts:
    """Handles Ctrl-C while a line runs.

    Args:
        jobs: the operations of the session.
        progress: draws progress bars, which are paused while the question is on the screen.
        ask: prints a question and returns the answer.
    """

    def __init__(self, jobs: JobBook, progress: ProgressPolicy, ask: Callable[[str], str] = ask_terminal) -> None:
        self._jobs, self._progress, self._ask = jobs, progress, ask
        self._began = 0.0

    @contextmanager
    def offered(self) -> Iterator[None]:
        """Offer the choice within the block; only in the main thread, where signals arrive."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._began = time.monotonic()
        before = signal.signal(signal.SIGINT, self._interrupted)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupted(self, number: int, frame: FrameType | None) -> Any:
        running = [
            job for job in self._jobs.running if job.job is not None and job.started >= self._began and not job.job.cancel_asked
        ]
        if not running or not sys.stdin.isatty():
            raise KeyboardInterrupt
        titles = printable_line(", ".join(job.title for job in running))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C cancels
        self._progress.pause()
        try:
            answer = choice(self._ask(f"\r\n{titles}: [c]ancel and roll back, [d]etach, or Enter to continue? "))
        except (KeyboardInterrupt, EOFError):
            answer = "cancel"
        finally:
            signal.signal(signal.SIGINT, self._interrupted)
            self._progress.resume()
        if answer == "cancel":
            for job in running:  # also those that another thread waits for
                if job.job is not None:
                    job.job.cancel()
            raise KeyboardInterrupt
        if answer == "detach":
            raise DetachedError(running)


__all__ = ["DetachedError", "Interrupts", "choice", "interrupts_call"]
