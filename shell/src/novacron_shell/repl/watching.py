"""The policy that draws a progress bar for every long operation while somebody at the shell waits for it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from novacron.text import printable_line
from novacron_shell.repl.jobs import JobBook

if TYPE_CHECKING:
    from novacron.dispatch.call import Call
    from novacron.hookspecs.operation import Operation

PATIENCE = 0.4
"""Seconds before a bar is drawn: most operations end sooner."""


class ProgressPolicy:
    """Draws on stderr while the user waits, one bar at a time; and lists all long operations in the book of jobs."""

    stage = "telemetry"

    def __init__(self, jobs: JobBook) -> None:
        self._jobs = jobs
        self._drawing = threading.Lock()
        self.name_of: Callable[[str], str] = str
        self._paused, self._still = threading.Event(), threading.Event()
        self.at_prompt: Callable[[], bool] = lambda: False
        """Whether the user is typing: then the toolbar shows the jobs, and no bar is drawn."""

    def pause(self) -> None:
        """Remove the bar from the screen, and return when it is gone."""
        self._still.clear()
        self._paused.set()
        if self._drawing.locked():
            self._still.wait(1.0)

    def resume(self) -> None:
        """Draw the bar again."""
        self._paused.clear()

    def applies(self, operation: Operation) -> bool:
        """Only jobs."""
        return operation.long

    def __call__(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        title = f"{call.operation.name.removeprefix('vm_').replace('_', ' ')} {self.name_of(call.resource or '')}"
        listed = self._jobs.begin(title, call.host, call.job)
        ended = threading.Event()
        threading.Thread(target=self._draw, args=(call, title, ended), name="novacron-progress", daemon=True).start()
        failure: BaseException | None = None
        try:
            return proceed(call)
        except BaseException as error:
            failure = error
            raise
        finally:
            self._jobs.end(listed, failure)
            ended.set()
            with self._drawing:
                pass  # the bar is gone before the prompt comes back

    def _draw(self, call: Call, title: str, ended: threading.Event) -> None:
        if ended.wait(PATIENCE) or self.at_prompt() or not sys.stderr.isatty() or not self._drawing.acquire(blocking=False):
            return
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            from novacron_shell.progress import describe

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[note]}", markup=False),
            )
            with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
                task = bars.add_task(printable_line(title), total=1.0, note="")
                while not ended.wait(0.1) and not self.at_prompt():
                    if self._paused.is_set():
                        bars.stop()
                        self._still.set()
                        while self._paused.is_set() and not ended.wait(0.1):
                            pass
                        bars.start()
                    if call.job is not None:
                        at = call.job.progress
                        bars.update(task, completed=at.fraction or 0.0, note=describe(at))
        finally:
            self._drawing.release()


__all__ = ["ProgressPolicy"]
