"""`novacron monitor`: metrics of the whole fleet."""

from __future__ import annotations

import signal
import threading
from typing import Any

import click

from novacron.text import printable_line
from novacron_shell.options import DURATION, Settings, common_options, list_options
from novacron_shell.output import Columns, show_many, tell


@click.group("monitor")
def monitor() -> None:
    """Metrics of all hosts and VMs: measure, collect, look up, push your own."""


@monitor.command("metrics")
@list_options
def metrics(settings: Settings) -> None:
    """List the metrics: built-in ones, and those of plugins."""
    columns: Columns = {"name": "name", "kind": "kind", "unit": "unit", "help": "help"}
    show_many(_metrics().definitions().values(), columns, settings.output)


@monitor.command("now")
@click.argument("names", nargs=-1)
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only series with this label; again for more.")
@list_options
def now(settings: Settings, names: tuple[str, ...], labels: tuple[str, ...]) -> None:
    """Measure all hosts once and show the metrics NAMES, or all. Nothing is stored."""
    wanted = dict(_pair(label) for label in labels)
    made = _metrics().measure(timeout=settings.timeout or 10.0)
    found = [
        one
        for one in made.samples()
        if (not names or one.metric in names) and wanted.items() <= one.labels.items()
    ]  # fmt: skip
    _say_problems(made)
    show_many(found, _SAMPLE, settings.output)


@monitor.command("put")
@click.argument("name")
@click.argument("value", type=float)
@click.argument("labels", metavar="[LABEL=VALUE]...", nargs=-1)
@click.option("--source", default="put", show_default=True, help="Who pushes. Each source may have 10,000 series.")
@common_options
def put(settings: Settings, name: str, value: float, labels: tuple[str, ...], source: str) -> None:
    """Store a VALUE of your own metric NAME.

    novacron monitor put backup_size_bytes 1048576 vm=web1
    """
    _metrics().put(name, value, labels=dict(_pair(label) for label in labels), source=source)


@monitor.command("collect")
@click.option("--every", "interval", type=DURATION, default="60s", show_default=True, help="The interval between two rounds.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many rounds. Default: never.")
@common_options
def collect(settings: Settings, interval: float, count: int | None) -> None:
    """Collect and store the metrics of all hosts until interrupted. One process collects; others wait until it ends."""
    from novacron.monitoring.service import MonitorService

    service = MonitorService(_metrics(), interval=interval, timeout=settings.timeout or min(10.0, interval), say=_say)
    stop = stop_on_signals()
    service.run(stop, rounds=count)


def stop_on_signals() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set, so that a service can finish what it does."""
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
    return stop


def _say(text: str) -> None:
    tell(text)


def _say_problems(made: Any) -> None:
    for where, problem in made.problems.items():
        tell(f"{where}: {problem}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE")
    return name, value


def _metrics() -> Any:
    from novacron import fleet

    return fleet().metrics


_SAMPLE: Columns = {
    "metric": "metric",
    "value": lambda s: f"{s.value:.12g}",
    "labels": lambda s: printable_line(" ".join(f"{name}={value}" for name, value in sorted(s.labels.items()))),
}
COMMANDS = {"monitor": monitor}
