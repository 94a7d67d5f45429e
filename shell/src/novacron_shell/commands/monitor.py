"""`novacron monitor`: metrics of the whole fleet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from novacron.text import printable_line
from novacron_shell.groups import CommandGroup
from novacron_shell.options import DURATION, Settings, common_options, list_options
from novacron_shell.output import Columns, show_many, tell, write
from novacron_shell.signals import stop_on_signals


@click.group("monitor", cls=CommandGroup)
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
    wanted = dict(pair(label) for label in labels)
    made = _metrics().measure(timeout=settings.timeout or 10.0)
    found = [one for one in made.samples() if (not names or one.metric in names) and wanted.items() <= one.labels.items()]
    _say_problems(made)
    show_many(found, _SAMPLE, settings.output)


@monitor.command("query")
@click.argument("name")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only series with this label; again for more.")
@click.option("--since", default="1h", show_default=True, metavar="DURATION", help="How far to look back.")
@click.option("--step", metavar="DURATION", help="One value for each step, such as 5m. Default: every sample.")
@click.option(
    "--show",
    type=click.Choice(["average", "minimum", "maximum", "last", "count", "rate", "increase"]),
    help="What to show of each step. Default: the average, or the rate of a counter.",
)
@common_options
def query(settings: Settings, name: str, labels: tuple[str, ...], since: str, step: str | None, show: str | None) -> None:
    """Show the stored history of the metric NAME, one line for each value."""
    wanted = dict(pair(label) for label in labels)
    found = _metrics().query(name, labels=wanted, since=since, step=step, show=show)
    if settings.output in ("json", "yaml", "ndjson"):
        show_many(found, {}, settings.output)
        return
    rows = [{"at": at, "value": value, "labels": one.labels} for one in found for at, value in one.points]
    columns: Columns = {
        "at": lambda r: datetime.fromtimestamp(r["at"], UTC).isoformat(timespec="seconds"),
        "value": lambda r: f"{r['value']:.12g}",
        "labels": lambda r: printable_line(_labels(r["labels"])),
    }
    show_many(rows, columns, settings.output)


@monitor.command("plot")
@click.argument("name")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only series with this label; again for more.")
@click.option("--since", default="1h", show_default=True, metavar="DURATION", help="How far to look back.")
@click.option("--step", metavar="DURATION", help="One value for each step, such as 5m. Default: every sample.")
@click.option(
    "--svg", "svg_file", type=click.Path(dir_okay=False), help="Write an SVG picture to this file, which ends with .svg."
)
@click.option(
    "--png", "png_file", type=click.Path(dir_okay=False), help="Write a PNG picture to this file, which ends with .png."
)
@common_options
def plot(
    settings: Settings,
    name: str,
    labels: tuple[str, ...],
    since: str,
    step: str | None,
    svg_file: str | None,
    png_file: str | None,
) -> None:
    """Draw the stored history of a metric in the terminal, or as a picture. At most eight series are drawn.

    NAME is the full name of a metric, or one of cpu, memory, disk_read, disk_written, received, sent (of VMs).
    """
    from novacron.plotting import text

    plot = _metrics().plot(name, labels=dict(pair(label) for label in labels), since=since, step=step)
    for file in (svg_file, png_file):
        if file is not None:
            plot.save(file)
    if svg_file is None and png_file is None:
        write("\n".join(map(printable_line, text(plot.series).splitlines())))


@monitor.command("dashboard")
@click.argument("name", type=click.Choice(["hosts", "vms"]))
@common_options
def dashboard(settings: Settings, name: str) -> None:
    """Print a dashboard for Grafana as JSON."""
    import json

    from novacron.monitoring.dashboards import dashboard as made

    write(json.dumps(made(name), indent=2))


@monitor.command("example")
@click.argument("name", type=click.Choice(["alertmanager", "prometheus"]))
@common_options
def example(settings: Settings, name: str) -> None:
    """Print an example of a configuration file of Prometheus or Alertmanager.

    novacron monitor example prometheus > /etc/prometheus/prometheus.yml
    """
    from novacron.monitoring.examples import example as text

    write(text(name).rstrip())


@monitor.command("import")
@click.argument("name", metavar="HOST")
@click.option("--since", default="23h", show_default=True, metavar="DURATION", help="How far to look back, at most 23h.")
@common_options
def import_history(settings: Settings, name: str, since: str) -> None:
    """Store what the hypervisor of HOST knows about the past of its VMs, such as a vCenter's history.

    The service that collects does this by itself after the first round of a host.
    """
    tell(f"{_metrics().import_history(name, since=since)} values imported")


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
    _metrics().put(name, value, labels=dict(pair(label) for label in labels), source=source)


def flow_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where metrics come from besides the hosts, and where they go."""
    options = (
        click.option(
            "--endpoint",
            "endpoints",
            multiple=True,
            metavar="NAME=URL",
            help="Read metrics in Prometheus' text format from this address too; again for more.",
        ),
        click.option(
            "--program",
            "programs",
            multiple=True,
            metavar="NAME='PROGRAM ARGUMENT...'",
            help="Read metrics in Prometheus' text format from what this program prints; again for more. No shell is involved.",
        ),
        click.option("--remote-write", metavar="URL", help="Write all samples to Prometheus too: http://HOST:9090/api/v1/write."),
        click.option("--otlp", metavar="URL", help="Write all samples to OpenTelemetry too: http://HOST:4318/v1/metrics."),
        click.option("--remote-token", metavar="SECRET", help="Name of the secret that remote storage gets as a bearer token."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def add_flows(
    endpoints: tuple[str, ...], programs: tuple[str, ...], remote_write: str | None, otlp: str | None, remote_token: str | None
) -> None:
    """Let the collector read further sources and write to remote storage, if the options say so."""
    import shlex

    from novacron.monitoring.otlp import OTLPWriter
    from novacron.monitoring.remote import RemoteWriter
    from novacron.monitoring.sources import CommandSource, EndpointSource
    from novacron.site import default_site

    if remote_token and not (remote_write or otlp):
        raise click.UsageError("--remote-token needs --remote-write or --otlp")
    for name, url in map(pair, endpoints):
        _metrics().add_source(EndpointSource(name, url))
    for name, text in map(pair, programs):
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is not a program with arguments: {error}") from None
        _metrics().add_source(CommandSource(name, words))
    secrets = default_site().secrets
    token = (lambda: secrets.get(remote_token)) if remote_token else None
    for address, writer in ((remote_write, RemoteWriter), (otlp, OTLPWriter)):
        if address:
            _metrics().add_exporter(writer(address, token))


@monitor.command("collect")
@click.option("--every", "interval", type=DURATION, default="60s", show_default=True, help="The interval between two rounds.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many rounds. Default: never.")
@flow_options
@common_options
def collect(settings: Settings, interval: float, count: int | None, **flows: Any) -> None:
    """Collect and store the metrics of all hosts until interrupted, and raise alerts. One process collects; others wait until it ends."""
    from novacron import fleet
    from novacron.monitoring.service import MonitorService

    timeout = settings.timeout or min(10.0, interval)
    add_flows(**flows)
    service = MonitorService(_metrics(), interval=interval, timeout=timeout, say=_say, alerts=fleet().alerts)
    stop = stop_on_signals()
    service.run(stop, rounds=count)


@monitor.command("serve")
@click.option("--listen", default="127.0.0.1:9177", show_default=True, metavar="ADDRESS:PORT", help="Where to answer.")
@click.option("--every", "interval", type=DURATION, default="60s", show_default=True, help="The interval between two rounds.")
@click.option("--tls-certificate", type=click.Path(dir_okay=False), help="PEM file with the server's certificate.")
@click.option("--tls-key", type=click.Path(dir_okay=False), help="PEM file with the certificate's key.")
@click.option("--token", "token", metavar="SECRET", help="Name of the secret that clients must send as a bearer token.")
@click.option("--open", "open_to_all", is_flag=True, help="Answer everybody, although the address is not the loopback.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many rounds. Default: never.")
@flow_options
@common_options
def serve(
    settings: Settings,
    listen: str,
    interval: float,
    tls_certificate: str | None,
    tls_key: str | None,
    token: str | None,
    open_to_all: bool,
    count: int | None,
    **flows: Any,
) -> None:
    """Collect the metrics of all hosts, raise alerts, and answer Prometheus at /metrics.

    Other addresses: /sd/guests and /sd/hosts for http_sd_configs, /-/healthy and /-/ready. If another process collects, its values are
    served.
    """
    from novacron import fleet
    from novacron.monitoring.exporter import Exporter
    from novacron.monitoring.server import ExporterServer
    from novacron.monitoring.service import MonitorService
    from novacron.site import default_site

    found = _metrics()
    add_flows(**flows)
    exporter = Exporter(found.definitions(), interval=interval)
    secret = default_site().secrets.get(token) if token else None
    with ExporterServer(
        exporter, listen, certificate=tls_certificate, key=tls_key, token=secret, open_to_all=open_to_all
    ) as server:
        tell(f"listening on {server.url}")
        timeout = settings.timeout or min(10.0, interval)
        targets = TargetUpdates(exporter, timeout, interval)

        def publish(made: Any) -> None:
            exporter.publish(made)
            targets.update()

        service = MonitorService(
            found, interval=interval, timeout=timeout, say=_say, after=publish, follow=publish, alerts=fleet().alerts
        )
        service.run(stop_on_signals(), rounds=count)


@monitor.command("unit")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--user", default="root", show_default=True, help="The user that runs the service.")
@common_options
def unit(settings: Settings, options: tuple[str, ...], user: str) -> None:
    """Print a systemd unit that runs `novacron monitor serve` with OPTIONS.

    novacron monitor unit -- --listen 0.0.0.0:9177 --token monitoring > /etc/systemd/system/novacron-monitor.service
    """
    import shutil
    import sys

    from novacron.monitoring.systemd import unit as text

    write(text(shutil.which("novacron") or sys.argv[0], options, user=user), end="")


class TargetUpdates:
    """Updates the targets of the service discovery every five minutes."""

    def __init__(self, exporter: Any, timeout: float, interval: float) -> None:
        self._exporter, self._timeout, self._every, self._count = exporter, timeout, max(1, round(300 / interval)), 0

    def update(self) -> None:
        """Ask the hosts for their guests if it is time."""
        from novacron import fleet
        from novacron.monitoring.discovery import guest_targets, host_targets

        if self._count % self._every == 0:
            self._exporter.hosts = host_targets(fleet())
            self._exporter.guests = guest_targets(fleet(), timeout=self._timeout)
        self._count += 1


def _say(text: str) -> None:
    tell(text)


def _say_problems(made: Any) -> None:
    for where, problem in made.problems.items():
        tell(f"{where}: {problem}")


def pair(text: str) -> tuple[str, str]:
    """Return NAME=VALUE as a pair. Raises click.BadParameter."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE")
    return name, value


def _labels(labels: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()))


def _metrics() -> Any:
    from novacron import fleet

    return fleet().metrics


_SAMPLE: Columns = {
    "metric": "metric",
    "value": lambda s: f"{s.value:.12g}",
    "labels": lambda s: printable_line(_labels(s.labels)),
}
COMMANDS = {"monitor": monitor}
