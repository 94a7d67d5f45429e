"""`novacron alert`: alerts, their rules, silences and notifications."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.text import printable_line
from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options
from novacron_shell.output import Columns, show_many, show_one, tell, write


@click.group("alert", cls=CommandGroup)
def alert() -> None:
    """Alerts: list, rules, silences, tests of rules. `novacron monitor collect` or `serve` evaluates the rules."""


@alert.command("list")
@click.option("--state", type=click.Choice(["pending", "firing", "resolved"]), help="Only alerts in this state.")
@list_options
def list_(settings: Settings, state: str | None) -> None:
    """List the alerts, the firing ones first. Resolved ones are shown for 15 minutes."""
    columns: Columns = {
        "alert": "rule",
        "state": "state",
        "severity": lambda a: a.labels.get("severity", "-"),
        "since": lambda a: _time(a.active_since),
        "summary": lambda a: printable_line(a.annotations.get("summary", "-")),
        "muted": lambda a: f"silence {a.silenced_by}" if a.silenced_by else a.inhibited_by or "-",
    }
    wide: Columns = {"labels": lambda a: printable_line(" ".join(f"{k}={v}" for k, v in sorted(a.labels.items())))}
    show_many(_alerts().list(state), columns, settings.output, wide=wide)


@alert.command("rules")
@list_options
def rules(settings: Settings) -> None:
    """List the rules."""
    columns: Columns = {
        "alert": "alert",
        "severity": lambda r: r.labels.get("severity", "-"),
        "for": lambda r: f"{r.hold:g}s",
        "no_data": "no_data",
        "expr": "expr",
    }
    found = _alerts().rules()
    show_many(
        [rule.as_dict() for rule in found] if settings.output not in ("table", "wide", "csv") else found, columns, settings.output
    )


@alert.command("load")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--name", help="The name to store it under. Default: the file's name without its ending. defaults replaces built-in rules."
)
@common_options
def load(settings: Settings, file: Path, name: str | None) -> None:
    """Check and store the rules, routes and receivers in a TOML or YAML FILE, or in a rule file of Prometheus."""
    name = name or file.stem
    read = _alerts().load(name, _content(file))
    tell(f"{name}: {len(read.rules)} rules, {len(read.receivers)} receivers")


@alert.command("unload")
@click.argument("name")
@common_options
def unload(settings: Settings, name: str) -> None:
    """Remove the rules that were loaded under NAME."""
    _alerts().unload(name)


@alert.command("export")
@common_options
def export(settings: Settings) -> None:
    """Print all rules as a rule file of Prometheus."""
    import yaml

    write(yaml.safe_dump(_alerts().for_prometheus(), sort_keys=False, allow_unicode=True))


@alert.command("test")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@common_options
def test(settings: Settings, file: Path) -> None:
    """Run the unit tests of rules in FILE, in the format of promtool. Ends with exit code 1 if one fails."""
    found = _alerts().test(_content(file), str(file))
    columns: Columns = {
        "alert": "alert",
        "at": lambda t: f"{t.at:g}s",
        "result": lambda t: "passed" if t.passed else "failed",
        "expected": lambda t: printable_line(str(list(t.expected))),
        "found": lambda t: printable_line(str(list(t.found))),
    }
    show_many(found, columns, settings.output)
    if not all(one.passed for one in found):
        raise click.exceptions.Exit(1)


@alert.command("silence")
@click.argument("matchers", nargs=-1, required=True)
@click.option("--for", "duration", default="2h", show_default=True, metavar="DURATION", help="How long.")
@click.option("--comment", default="", help="Why.")
@common_options
def silence(settings: Settings, matchers: tuple[str, ...], duration: str, comment: str) -> None:
    """Send no notifications about alerts with these labels for a while.

    novacron alert silence host=kvm1 --for 4h --comment 'a new disk'
    """
    show_one(_alerts().silence(matchers, duration, comment=comment), settings.output)


@alert.command("silences")
@list_options
def silences(settings: Settings) -> None:
    """List the silences that have not ended."""
    columns: Columns = {
        "id": "id",
        "matchers": lambda s: printable_line(" ".join(s.matchers)),
        "until": lambda s: _time(s.ends_at),
        "by": "actor",
        "comment": lambda s: printable_line(s.comment or "-"),
    }
    show_many(_alerts().silences(), columns, settings.output)


@alert.command("unsilence")
@click.argument("silence_id")
@common_options
def unsilence(settings: Settings, silence_id: str) -> None:
    """End the silence SILENCE_ID now."""
    _alerts().unsilence(silence_id)


@alert.command("waiting")
@list_options
def waiting(settings: Settings) -> None:
    """List the notifications that no sink has accepted yet, with the error of the last attempt."""
    columns: Columns = {
        "id": "id",
        "title": lambda o: printable_line(o.notification.title),
        "sink": lambda o: o.sink["type"],
        "attempts": "attempts",
        "error": lambda o: printable_line(o.error or "-"),
    }
    show_many(_alerts().waiting(), columns, settings.output)


def _content(file: Path) -> Any:
    from novacron_shell.yaml_files import load as load_yaml

    if file.suffix == ".toml":
        try:
            return tomllib.loads(file.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidSpecError(f"can't read {file}", problems=[SpecProblem("content", str(error), "TOML")]) from error
    with file.open() as opened:
        return load_yaml(opened) or {}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _alerts() -> Any:
    from novacron import fleet

    return fleet().alerts


COMMANDS = {"alert": alert}
