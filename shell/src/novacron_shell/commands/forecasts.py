"""`novacron forecast` and `novacron report`: what will be, and a page about what is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from novacron.text import printable_line
from novacron.units import format_size
from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options
from novacron_shell.output import Columns, show_many, tell, write


@click.group("forecast", cls=CommandGroup)
def forecast() -> None:
    """Forecasts from the stored history: when nodes, groups and pools are full, how a metric continues. `novacron monitor collect` stores
    it."""


@forecast.command("pool")
@click.argument("name")
@click.option("--since", default="30d", show_default=True, metavar="DURATION", help="How much of the past to use.")
@click.option("--horizon", default="90d", show_default=True, metavar="DURATION", help="How far to look ahead.")
@list_options
def pool(settings: Settings, name: str, since: str, horizon: str) -> None:
    """Say when the storage pool NAME will be full: on all hosts that have one of that name, or on --host."""
    from novacron import fleet

    labels = {"pool": name} | ({"host": settings.host_name} if settings.host_name else {})
    found = fleet().metrics.forecast_pools(labels=labels, since=since, horizon=horizon)
    columns: Columns = {
        "host": lambda f: f.labels.get("host", "-"),
        "pool": lambda f: f.labels.get("pool", "-"),
        "full in": _full,
        "method": lambda f: f.method or "-",
        "problem": lambda f: f.problem or "-",
    }
    show_many(found, columns, settings.output)


@forecast.command("capacity")
@click.option("--scope", type=click.Choice(["node", "group", "pool"]), help="Only nodes, groups or storage pools.")
@click.option("--name", help="Only the node, group or pool of this name.")
@click.option("--since", default="30d", show_default=True, metavar="DURATION", help="How much of the past to use.")
@click.option("--horizon", default="90d", show_default=True, metavar="DURATION", help="How far to look ahead.")
@click.option("--plot", is_flag=True, help="Also draw the use in percent: the past, the median and the 95th percentile.")
@list_options
def capacity(settings: Settings, scope: str | None, name: str | None, since: str, horizon: str, plot: bool) -> None:
    """Say when CPUs, memory and storage of nodes, groups and pools are full: with a probability of 50 %, and at the earliest (95 %)."""
    from novacron import fleet
    from novacron.plotting import text

    found = fleet().planning.forecast(scope, name, since=since, horizon=horizon)
    show_many(found, CAPACITY, settings.output)
    if plot and settings.output == "table":
        for one in found:
            if one.points:
                write("")
                write(f"{one.scope} {printable_line(one.name)}, {one.resource}, in percent of {_amount(one, one.size)}")
                write("\n".join(map(printable_line, text(one.chart()).splitlines())))


@forecast.command("metric")
@click.argument("name")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only series with this label; again for more.")
@click.option("--since", default="30d", show_default=True, metavar="DURATION", help="How much of the past to use.")
@click.option("--horizon", default="7d", show_default=True, metavar="DURATION", help="How far to look ahead.")
@click.option("--level", type=float, help="Say when the metric reaches this value.")
@click.option(
    "--method", help="linear, seasonal, holt_winters or a plugin's forecaster. Default: the one with the smallest error."
)
@list_options
def metric(
    settings: Settings, name: str, labels: tuple[str, ...], since: str, horizon: str, level: float | None, method: str | None
) -> None:
    """Forecast the metric NAME: its value at the end of the horizon with a range, and the error of the method on past data."""
    from novacron import fleet
    from novacron_shell.commands.monitor import pair

    wanted = dict(pair(label) for label in labels)
    found = fleet().metrics.forecast(name, labels=wanted, since=since, horizon=horizon, level=level, method=method)
    columns: Columns = {
        "labels": lambda f: printable_line(" ".join(f"{k}={v}" for k, v in sorted(f.labels.items()))),
        "value": lambda f: f"{f.points[-1].value:.6g}" if f.points else "-",
        "range": lambda f: f"{f.points[-1].low:.6g} to {f.points[-1].high:.6g}" if f.points else "-",
        "method": lambda f: f.method or "-",
        "error": lambda f: "-" if f.error is None else f"{f.error:.3g}",
        "reached": lambda f: "-" if f.full_at is None else datetime.fromtimestamp(f.full_at, UTC).isoformat(timespec="minutes"),
        "problem": lambda f: f.problem or "-",
    }
    show_many(found, columns, settings.output)


@click.command("report")
@click.option("--html", "file", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
@click.option("--since", default="7d", show_default=True, metavar="DURATION", help="The period to report on.")
@common_options
def report(settings: Settings, file: Path, since: str) -> None:
    """Write a page about capacity, trends, alerts and waste. It needs no other file."""
    from novacron import fleet
    from novacron.monitoring.report import html

    file.write_text(html(fleet().metrics, fleet().alerts, since=since), encoding="utf-8")
    tell(f"written: {file}")


def _full(found: Any) -> str:
    if not found.points:
        return "-"
    if found.full_at is None:
        return "not within the horizon"
    start = found.points[0].at
    days = [None if at is None else (at - start) / 86400 for at in (found.full_at, found.full_earliest, found.full_latest)]
    return f"{days[0]:.1f} days ({days[1] or 0:.1f} to {'beyond the horizon' if days[2] is None else f'{days[2]:.1f}'})"


def _amount(found: Any, value: float) -> str:
    return f"{value:.3g}" if found.resource == "cpu" else format_size(int(value))


def _full_on(found: Any, field: str) -> str:
    if not found.points:
        return "-"
    at = getattr(found, field)
    return "not within the horizon" if at is None else datetime.fromtimestamp(at, UTC).date().isoformat()


CAPACITY: Columns = {
    "scope": "scope",
    "name": "name",
    "host": lambda f: f.host or "-",
    "resource": "resource",
    "used": lambda f: f"{_amount(f, f.used)} of {_amount(f, f.size)} ({f.used / f.size:.0%})",
    "full (p50)": lambda f: _full_on(f, "full_p50"),
    "full (p95)": lambda f: _full_on(f, "full_p95"),
    "method": lambda f: f.method or "-",
    "problem": lambda f: f.problem or "-",
}
COMMANDS = {"forecast": forecast, "report": report}
