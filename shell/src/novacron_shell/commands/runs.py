"""`novacron run`, what became of workflows; `novacron worker`, which runs them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from datetime import datetime
from typing import Any

import click

from novacron_shell.commands.flows import load_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import AGE, Settings, common_options, list_options
from novacron_shell.output import Columns, show_many, show_one, tell, write


@click.group("run", cls=CommandGroup)
def run() -> None:
    """Runs of workflows: list, show, resume, undo, cancel, pause, retry. The first digits of an id will do."""


@run.command("list")
@click.option("--unfinished", is_flag=True, help="Only those that have not ended.")
@click.option("--limit", default=20, show_default=True, help="How many, the latest first.")
@list_options
def list_(settings: Settings, unfinished: bool, limit: int) -> None:
    """List runs, the latest first."""
    columns: Columns = {
        "id": "id",
        "flow": lambda r: r.name or r.flow,
        "vms": lambda r: _vms(r),
        "status": "status",
        "steps": lambda r: f"{sum(s.status in ('done', 'skipped') for s in r.steps)}/{len(r.steps)}",
        "begun": lambda r: datetime.fromtimestamp(r.created_at).strftime("%Y-%m-%d %H:%M:%S"),
        "actor": "actor",
        "process": lambda r: r.process or "-",
    }
    found = _runs().list(unfinished=unfinished, limit=limit)
    if settings.output == "name":
        write("\n".join(record.id for record in found))
    else:
        show_many(found, columns, settings.output)


@run.command("limit")
@click.option("--migrations-per-host", type=int, help="How many VMs a host sends and receives at a time by workflows.")
@click.option("--run-retention-days", type=int, help="After how many days workers delete finished runs. Failed runs stay.")
@click.option("--run-retention-runs", type=int, help="How many finished runs workers keep. Failed runs stay.")
@common_options
def limit(settings: Settings, **limits: int | None) -> None:
    """Show or set the limits of workflows, for all processes together: what runs at a time, and what is kept."""
    from novacron import fleet

    for name, value in limits.items():
        if value is not None:
            fleet().settings[name] = value
    show_one(dict(fleet().settings), settings.output)


@run.command("show")
@click.argument("run_id", metavar="RUN")
@click.option("--history", is_flag=True, help="All that happened, entry by entry.")
@common_options
def show(settings: Settings, run_id: str, history: bool) -> None:
    """Show a run: every step, what failed, what is left for a person to look at."""
    if history:
        columns: Columns = {
            "at": lambda e: datetime.fromtimestamp(e.at).strftime("%H:%M:%S.%f")[:-3],
            "step": lambda e: e.path or "/",
            "event": "event",
            "what": lambda e: e.data.get("text") or "",
        }
        show_many(_runs().history(run_id), columns, settings.output)
        return
    _show(settings, _runs()[run_id])


@run.command("resume")
@click.argument("run_id", metavar="RUN")
@click.option("--accept-changes", is_flag=True, help="Continue although code of its steps has changed since it began.")
@load_option
@common_options
def resume(settings: Settings, run_id: str, accept_changes: bool) -> None:
    """Continue a run that failed or was interrupted, or one that is paused. Finished steps are not repeated."""
    runs = _runs()
    if runs[run_id].status == "paused":
        runs.unpause(run_id)
        tell(f"{run_id} is resumed")
        return
    _follow(settings, runs.resume(run_id, accept_changes=accept_changes))


@run.command("undo")
@click.argument("run_id", metavar="RUN")
@common_options
def undo(settings: Settings, run_id: str) -> None:
    """Undo what a failed run has left: steps that were kept, and those that could not be undone before."""
    _follow(settings, _runs().undo(run_id))


@run.command("prune")
@click.option("--older-than", type=AGE, metavar="AGE", help="Only runs that ended longer ago than that, such as 30d.")
@click.option("--keep", type=click.IntRange(min=0), help="Never the latest so many runs.")
@click.option("--failed", is_flag=True, help="Also failed runs, which can then be neither resumed nor undone any more.")
@common_options
def prune(settings: Settings, older_than: float | None, keep: int | None, failed: bool) -> None:
    """Delete runs that have ended, and their history; also what is on record of the times of schedules."""
    from novacron import fleet

    if older_than is None and keep is None:
        raise click.UsageError("give --older-than, --keep, or both")
    count = _runs().prune(older_than=older_than, keep=keep, failed=failed)
    times = fleet().schedules.prune(older_than) if older_than is not None else 0
    if settings.output in ("json", "yaml"):
        show_one({"runs": count, "schedule_times": times}, settings.output)
    else:
        past = f", {times} past time{'s' if times != 1 else ''} of schedules" if older_than is not None else ""
        tell(f"deleted: {count} run{'s' if count != 1 else ''}{past}")


@run.command("retry")
@click.argument("run_id", metavar="RUN")
@common_options
def retry(settings: Settings, run_id: str) -> None:
    """Begin again, from its first step, what a run that was undone or cancelled had to do."""
    _follow(settings, _runs().retry(run_id))


@run.command("cancel")
@click.argument("run_id", metavar="RUN")
@common_options
def cancel(settings: Settings, run_id: str) -> None:
    """Stop what is under way and undo what was done, whichever process runs it; waits for that."""
    runs = _runs()
    runs.cancel(run_id)
    _show(settings, runs.wait(run_id))


@run.command("pause")
@click.argument("run_id", metavar="RUN")
@common_options
def pause(settings: Settings, run_id: str) -> None:
    """Let no further step begin, until `novacron run resume`."""
    _runs().pause(run_id)
    tell(f"{run_id} is paused once the step under way has ended")


@click.command("worker")
@click.option("--concurrency", default=8, show_default=True, help="Runs at a time.")
@click.option("--grace", default=60.0, show_default=True, help="Seconds that runs have to end when the worker is stopped.")
@click.option("--database-patience", default=300.0, show_default=True, help="Seconds that runs wait for a lost database.")
@load_option
@common_options
def worker(settings: Settings, concurrency: int, grace: float, database_patience: float) -> None:
    """Run workflows from the queue, and those of processes that have ended, until stopped.

    Workers on several machines share one PostgreSQL database, named by NOVACRON_DATABASE.
    """
    from novacron.site import default_site
    from novacron.workflow.run.worker import work

    default_site().engine.patience.seconds = database_patience
    tell("the worker is up; Ctrl-C stops it")
    work(concurrency=concurrency, grace=grace)


def follow_run(settings: Settings, begun: Any) -> None:
    """Wait for a run of this process.

    Ctrl-C asks whether to cancel the run, leave it to a worker, or continue. SIGTERM ends the process after one line that says how to
    resume the run.
    """
    from novacron_shell.progress import follow

    detached = False
    before = _on_sigterm(begun.id)
    try:
        while True:
            try:
                follow(begun, "flow", on_interrupt=lambda: None)
            except KeyboardInterrupt:
                answer = _asked()
                if answer == "go on":
                    continue
                if answer == "detach":
                    detached = True
                    _detach(begun)
                    return
                tell("cancelling: what was done is undone")
                begun.cancel()
                follow(begun, "flow")
            return
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
        if not detached:
            if settings.output == "table":
                tell(str(begun))
            else:
                show_one(begun, settings.output)


def _on_sigterm(run_id: str) -> Any:
    """Let SIGTERM say how to resume a run before it ends the process. Return the handler before; None outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return None
    line = f"SIGTERM: the run {run_id} is interrupted. A worker continues it, or resume it with: novacron run resume {run_id}\n"
    show_cursor = "\r\n\x1b[?25h" if sys.stderr.isatty() else ""  # the progress bar hides it

    def end(number: int, frame: object) -> None:
        with suppress(OSError):
            os.write(2, (show_cursor + line).encode())
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # raising an exception instead could be ignored, in a finalizer for example

    return signal.signal(signal.SIGTERM, end)


def _asked() -> str:
    if not sys.stdin.isatty():
        return "cancel"
    try:
        answer = click.prompt(
            "\nCancel it and undo what was done (c), detach it (d), or go on (g)?",
            default="c",
            err=True,
            type=click.Choice(["c", "d", "g"]),
            show_choices=False,
        )
    except click.Abort:
        return "cancel"
    return {"c": "cancel", "d": "detach", "g": "go on"}[answer]


def _detach(begun: Any) -> None:
    runs = _runs()
    runs.detach(begun.id)
    tell(f"leaving {begun.id} when the step under way has ended")
    begun.exception()
    workers = runs.workers()
    if workers:
        tell(f"{begun.id} goes on: {workers[0]}")
    else:
        tell(f"{begun.id} waits for a worker (novacron worker), or for: novacron run resume {begun.id}")


def _follow(settings: Settings, begun: Any) -> None:
    follow_run(settings, begun)


def _show(settings: Settings, record: Any) -> None:
    if settings.output == "table":
        write(str(record))
    else:
        show_one(record, settings.output)


def _vms(record: Any) -> str:
    from novacron.workflow.nodes import names_of

    return names_of(record.vms)


def _runs() -> Any:
    from novacron import fleet

    return fleet().runs


COMMANDS = {"run": run, "worker": worker}
