"""`novacron schedule`: workflows that begin by themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from novacron_shell.commands.flows import load_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options
from novacron_shell.output import Columns, show_many, show_one, tell, write


@click.group("schedule", cls=CommandGroup)
def schedule() -> None:
    """Workflows that begin by themselves, run by workers (`novacron worker`)."""


@schedule.command("add")
@click.argument("name")
@click.argument("cron")
@click.argument("steps", nargs=-1)
@load_option
@click.option("--file", "file", type=click.File(), help="A workflow as YAML or JSON, in place of steps; - is stdin.")
@click.option("--vm", "vms", multiple=True, help="A VM that it is for; again for more.")
@click.option("--tag", help="All VMs that have this tag when it begins.")
@click.option("--timezone", default="UTC", show_default=True, help="The time zone of CRON, such as Europe/Berlin.")
@click.option(
    "--misfire",
    type=click.Choice(["skip", "once", "all"]),
    default="skip",
    show_default=True,
    help="Times without a worker; all: at most the latest 100.",
)
@click.option("--jitter", default="0", help="Begin up to so much later, such as 5m.")
@click.option("--max-parallel", default=4, show_default=True, help="VMs at a time.")
@click.option("--replace", is_flag=True, help="Take the name from the schedule that has it.")
@common_options
def add(
    settings: Settings,
    name: str,
    cron: str,
    steps: tuple[str, ...],
    file: Any,
    vms: tuple[str, ...],
    tag: str | None,
    **options: Any,
) -> None:
    """Begin the steps at the times of CRON: minute hour day month weekday.

    novacron schedule add nightly '0 3 * * *' snapshot:'nightly-{time}' keep-snapshots:prefix=nightly-,daily=7 --tag web
    """
    from novacron import fleet
    from novacron_shell.commands.flows import compose

    made = fleet().schedules.add(name, compose(steps, file), cron=cron, vms=[settings.vm(vm) for vm in vms], tag=tag, **options)
    tell(f"{name} begins next at {made.next()[0]:%Y-%m-%d %H:%M:%S %Z}")


@schedule.command("list")
@list_options
def list_(settings: Settings) -> None:
    """List the schedules with their next times."""
    columns: Columns = {
        "name": "name",
        "cron": "cron",
        "zone": "timezone",
        "flow": "words",
        "vms": lambda s: f"tag {s.tag}" if s.tag else ", ".join(vm.name for vm in s.vms),
        "next": lambda s: _next(s),
        "by": "actor",
    }
    show_many(_schedules().list(), columns, settings.output)


@schedule.command("show")
@click.argument("name")
@common_options
def show(settings: Settings, name: str) -> None:
    """Show a schedule, its next times, and its last runs."""
    found = _schedules()
    schedule, times = found[name], found.times(name, 10)
    runs = {run.id: run for run in found.history(name, 20)}
    history = [_time(time, runs.get(time.run or "")) for time in times]
    if settings.output != "table":
        show_one({**schedule.as_dict(), "history": history}, settings.output)
        return
    show_one(schedule, "table")
    for each in history:
        why = f"  {each['problem']}" if each["problem"] else ""
        write(f"{each['due']}  {each['run'] or '-':<28} {each['status']}{why}")


def _time(time: Any, run: Any) -> dict[str, Any]:
    """Return what became of a time of a schedule, with the reason why its run failed."""
    due = datetime.fromtimestamp(time.due, UTC).isoformat(timespec="seconds")
    error = (run.error or {}).get("text") if run is not None else None
    status = run.status if run is not None else "not begun" if time.run is None else "pruned"
    return {"due": due, "run": time.run, "status": status, "problem": error or time.problem, "executor": time.executor}


def _next(schedule: Any) -> str:
    if schedule.paused:
        return "paused"
    times = schedule.as_dict()["next"]
    return str(times[0]).replace("T", " ")[:19] if times else "never"


@schedule.command("pause")
@click.argument("name")
@common_options
def pause(settings: Settings, name: str) -> None:
    """Let it begin no more until it is resumed."""
    _schedules().pause(name)
    tell(f"{name} is paused")


@schedule.command("resume")
@click.argument("name")
@common_options
def resume(settings: Settings, name: str) -> None:
    """Let a paused schedule begin again."""
    _schedules().resume(name)
    tell(f"{name} is resumed")


@schedule.command("remove")
@click.argument("name")
@common_options
def remove(settings: Settings, name: str) -> None:
    """Delete a schedule; its runs stay on record."""
    _schedules().remove(name)
    tell(f"{name} is removed")


def _schedules() -> Any:
    from novacron import fleet

    return fleet().schedules


COMMANDS = {"schedule": schedule}
