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
@click.option("--ping", is_flag=True, help="Ask each host whether it answers.")
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
@click.option("--replace", is_flag=True, help="Take the name from the host that has it.")
@click.option("--check/--no-check", default=True, help="Connect once before it is registered.")
@common_options
def add(settings: Settings, name: str, uri: str, replace: bool, check: bool) -> None:
    """Register the host at URI under NAME."""
    from novacron import connect, fleet

    if check:
        connect(uri, name=name).close()
    fleet().add(name, uri, replace=replace)
    tell(f"{name} is in the fleet")


@host.command("remove")
@click.argument("name")
@common_options
def remove(settings: Settings, name: str) -> None:
    """Forget the host NAME; its VMs are not touched."""
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
_reader("stats", "stats", "Show what a host has and uses now.")
_reader("ping", "ping", "Make one round trip to a host.")
_reader("capabilities", "capabilities", "Show what VMs a host can run, what it offers, and what it can't do and why.")


@host.command("nodes")
@click.argument("name", required=False)
@common_options
def nodes(settings: Settings, name: str | None) -> None:
    """List the machines behind a host."""
    chosen = settings.open(name) if name else settings.host()
    columns: Columns = {"name": "name", "cpus": "cpus", "memory": lambda n: _size(n.memory_bytes), "status": "status"}
    show_many(chosen.nodes(), columns, settings.output)


def _size(value: int | None) -> str:
    from novacron.units import format_size

    return format_size(value)


COMMANDS = {"host": host}
