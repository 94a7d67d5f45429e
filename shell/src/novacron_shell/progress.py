"""Shows a job's progress on stderr while waiting for it: a bar on a terminal, a line a second elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from novacron.errors import OperationCancelledError
from novacron.jobs import Job, Progress
from novacron.text import printable_line
from novacron.units import format_duration, format_size
from novacron_shell.output import tell


def follow(job: Job[Any], title: str, *, on_interrupt: Callable[[], object] | None = None) -> Any:
    """Wait for a job and return its result. Ctrl-C cancels it and waits for its roll-back.

    With `on_interrupt`, Ctrl-C calls that and is raised.
    """
    try:
        return _on_terminal(job, title) if sys.stderr.isatty() else _on_lines(job, title)
    except KeyboardInterrupt:
        if on_interrupt is not None:
            on_interrupt()
            raise
        return _cancelled(job, title)


def _cancelled(job: Job[Any], title: str) -> Any:
    """Cancel a job, wait until it has rolled back, and say what became of it."""
    tell(f"{title}: cancelling and rolling back. Ctrl-C again detaches from it")
    job.cancel()
    try:
        result = job.result()
    except KeyboardInterrupt:
        tell(f"{title}: detached. It is left as it is and may still run on the host; check before repeating it")
        raise
    except OperationCancelledError as error:
        if error.outcome == "failed":
            tell(f"{title}: cancelled and rolled back")
        raise
    tell(f"{title}: it had ended before it could be cancelled; nothing was rolled back")
    return result


def describe(progress: Progress) -> str:
    """Return progress in words: what it does, and how much of how much."""
    done, total = progress.details.get("transferred_bytes"), progress.details.get("total_bytes")
    amount = f" {format_size(done)} of {format_size(total)}" if done and total else ""
    left = progress.details.get("remaining_seconds")
    return f"{printable_line(progress.message)}{amount}" + (
        "" if left is None else f", {format_duration(max(1, round(left)))} left"
    )


def _on_terminal(job: Job[Any], title: str) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Bars(*columns, console=Console(stderr=True), transient=False) as bars:
        task = bars.add_task(printable_line(title), total=1.0, note="")
        while not _ended(job, 0.1):
            at = job.progress
            bars.update(task, completed=at.fraction or 0.0, note=describe(at))
        if job.exception() is None:
            bars.update(task, completed=1.0, note="done")
        else:
            bars.update(task, note="failed")
    return job.result()


def _on_lines(job: Job[Any], title: str) -> Any:
    said, at = "", 0.0
    while not _ended(job, 0.1):
        text = describe(job.progress)
        share = "" if job.progress.fraction is None else f" {job.progress.fraction:.0%}"
        if text and text + share != said and time.monotonic() - at >= 1:
            tell(f"{title}: {text}{share}")
            said, at = text + share, time.monotonic()
    return job.result()


def _ended(job: Job[Any], seconds: float) -> bool:
    try:
        job.exception(seconds)
    except TimeoutError:
        return job.done()
    return True


__all__ = ["describe", "follow"]
