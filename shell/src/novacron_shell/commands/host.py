"""`novacron host`: the fleet, and what a host is, has and can do."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.options import Settings, common_options
from novacron_shell.output import Columns, show_many, show_one, tell


@click.group("host")
def host() -> None:
    """Hosts of the fleet, or at a URI."""


@host.command("list")
@click.option("--ping", is_flag=True, help="Also show whether each host answers.")
@common_options
def list_(settings: Settings, ping: bool) -> None:
    """List the fleet's hosts."""
    from novacron import fleet

    columns: dict[str, Any] = {"name": "name", "uri": "uri", "added": "added_at"}
    hosts = fleet().list()
    if ping:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(32) as pool:
            states = dict(zip((h.name for h in hosts), pool.map(lambda h: _state(h.name), hosts), strict=True))
        columns["status"] = lambda h: states[h.name]
    show_many(hosts, columns, settings.output)


def _state(name: str) -> str:
    from novacron import fleet
    from novacron.errors import NovaCronError

    try:
        fleet().hosts[name].ping()
    except NovaCronError as error:
        return f"down: {error}"
    return "up"


@host.command("add")
@click.argument("name")
@click.argument("uri")
@click.option("--replace", is_flag=True, help="Replace a host that has this name.")
@click.option("--check/--no-check", default=True, help="Connect to the host before it is added.")
@common_options
def add(settings: Settings, name: str, uri: str, replace: bool, check: bool) -> None:
    """Add the host at URI to the fleet as NAME."""
    from novacron import connect, fleet

    if check:
        connect(uri, name=name).close()
    fleet().add(name, uri, replace=replace)
    tell(f"{name} is in the fleet")


@host.command("remove")
@click.argument("name")
@common_options
def remove(settings: Settings, name: str) -> None:
    """Remove the host NAME from the fleet. Its VMs are not changed."""
    from novacron import fleet

    fleet().remove(name)
    tell(f"{name} is no longer in the fleet")


def _reader(command: str, operation: str, text: str) -> None:
    @host.command(command, help=text)
    @click.argument("name", required=False)
    @common_options
    def read(settings: Settings, name: str | None) -> None:
        chosen = settings.open(name) if name else settings.host()
        show_one(getattr(chosen, operation)(), settings.output)


_reader("info", "info", "Describe a host.")
_reader("stats", "stats", "Show the present use of CPU, memory and storage of a host.")
_reader("ping", "ping", "Measure one round trip to a host.")
_reader("capabilities", "capabilities", "Show which VMs a host can run, which operations it offers, and its limits.")


@host.command("nodes")
@click.argument("name", required=False)
@common_options
def nodes(settings: Settings, name: str | None) -> None:
    """List the nodes of a cluster."""
    chosen = settings.open(name) if name else settings.host()
    columns: Columns = {"name": "name", "cpus": "cpus", "memory": lambda n: _size(n.memory_bytes), "status": "status"}
    show_many(chosen.nodes(), columns, settings.output)


def _size(value: int | None) -> str:
    from novacron.units import format_size

    return format_size(value)


COMMANDS = {"host": host}
