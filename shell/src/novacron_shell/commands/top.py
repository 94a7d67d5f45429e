"""`novacron top`: hosts and VMs, live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

import click

from novacron_shell.options import DURATION, Settings, common_options
from novacron_shell.output import show_many, tell, write

if TYPE_CHECKING:
    from novacron_shell.top.model import VMState
    from novacron_shell.top.reading import Reader


@click.command("top")
@click.argument("filter", required=False, default="")
@click.option("--sort", default="cpu", show_default=True, help="Column to sort by. A minus sign reverses the order: -name.")
@click.option("--group", type=click.Choice(["host", "node", "status", "tag", "folder"]), help="Group the VMs.")
@click.option("--columns", metavar="NAME,...", help="Columns of the VMs.")
@click.option("--interval", type=DURATION, default="2s", show_default=True, help="Time between two readings of a host.")
@click.option("--once", is_flag=True, help="Print the state once and end. With -o json one object with hosts and vms.")
@common_options
def top(settings: Settings, filter: str, sort: str, group: str | None, columns: str | None, interval: float, once: bool) -> None:
    """Show hosts and VMs live on the whole screen; FILTER is a part of the name, a pattern, tag:TAG, host:HOST or status:STATUS.

    Keys: / filter, o sort, r reverse, g group, c columns, Enter all of a VM, s start, d shut down, x stop, m migrate, n snapshot,
    t console, q quit.
    """
    import sys

    from novacron import fleet
    from novacron_shell.top.reading import Reader

    view = _view(filter, sort, group, columns)
    hosts = settings.connections([] if settings.named else settings.fleet()) or [settings.host()]
    detail: Literal["summary", "full"] = (
        "full"
        if view.group in ("tag", "folder") or "tag:" in view.filter or {"tags", "folder"} & set(view.columns)
        else "summary"
    )
    reader = Reader(hosts, fleet().ask, interval=interval, detail=detail)
    if once:
        _print(reader, view, settings)
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("there is no terminal; --once prints the state once")
    from novacron_shell.signals import terminal_signals_kept
    from novacron_shell.top.app import Top

    app = Top(reader, view, lambda vm: _console(vm, settings))
    reader.on_change(app.changed)
    with terminal_signals_kept():
        app.run()
    app.wait_for_actions(tell)


def _view(text: str, sort: str, group: str | None, columns: str | None) -> Any:
    """Return what is to be shown. Raises InvalidSpecError if there is no such column."""
    from novacron.errors import InvalidSpecError, SpecProblem
    from novacron_shell.top.model import COLUMNS, DEFAULT_COLUMNS, View

    chosen = tuple(name.strip() for name in columns.split(",") if name.strip()) if columns else DEFAULT_COLUMNS
    key = sort.removeprefix("-")
    problems = [
        SpecProblem(what, name, f"one of {', '.join(COLUMNS)}")
        for what, some in (("columns", chosen), ("sort", (key,)))
        for name in some
        if name not in COLUMNS
    ]
    if problems:
        raise InvalidSpecError("no such column", problems=problems)
    return View(filter=text, sort=key, reverse=sort.startswith("-"), group=group or "", columns=chosen)


def _print(reader: Reader, view: Any, settings: Settings) -> None:
    """Read twice, so that there are rates, and print."""
    from novacron_shell.top.model import COLUMNS, Group, lines

    reader.read()
    time.sleep(1.0)
    reader.read()
    settings.unreachable |= {host.name: host.error for host in reader.hosts() if host.error}  # type: ignore[misc]
    vms = [line for line in lines(reader.vms(), view) if not isinstance(line, Group)]
    if settings.output in ("table", "wide"):
        show_many(
            reader.hosts(),
            {
                "host": "name",
                "cpu%": lambda host: None if host.cpu_percent is None else round(host.cpu_percent),
                "memory": "memory_bytes",
                "free": "memory_free_bytes",
                "vms": "vms",
                "running": "running",
                "error": "error",
            },
            settings.output,
        )
        write("")
        show_many(vms, {COLUMNS[name].title.lower(): COLUMNS[name].text for name in view.columns}, settings.output)
    elif settings.output in ("json", "yaml"):
        from novacron_shell.output import show_one

        show_one({"hosts": [host.as_dict() for host in reader.hosts()], "vms": [vm.as_dict() for vm in vms]}, settings.output)
    else:
        show_many(vms, {name: COLUMNS[name].text for name in view.columns}, settings.output)


def _console(vm: VMState, settings: Settings) -> None:
    """Attach to the console of a VM; afterwards wait until the user has read what was said."""
    from novacron_shell.cli import cli
    from novacron_shell.main import report

    try:
        cli.main(["console", vm.name, *([] if settings.named else ["--host", vm.host])], standalone_mode=False, obj=settings)
    except BaseException as error:  # noqa: BLE001 - whatever ends the console, `top` goes on
        report(error)
        click.pause("Press a key to return to top.")


COMMANDS = {"top": top}
