"""`novacron pool`: storage pools."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.confirm import confirm, yes_option
from novacron_shell.options import Settings, common_options, list_options, spec_options
from novacron_shell.output import Columns, show_many, show_one, tell


@click.group("pool")
def pool() -> None:
    """Storage pools."""


@pool.command("list")
@list_options
def list_(settings: Settings) -> None:
    """List the storage pools of one host or of the whole fleet."""
    columns: Columns = {
        "name": "name",
        "type": "type",
        "active": "active",
        "capacity": "capacity_bytes",
        "available": "available_bytes",
        "path": "path",
        "host": "host",
    }
    show_many(settings.gather("pool_list"), columns, settings.output)


@pool.command("show")
@click.argument("name")
@common_options
def show(settings: Settings, name: str) -> None:
    """Show a storage pool."""
    show_one(settings.host().invoke("pool_get", pool=name), settings.output)


@pool.command("create")
@click.argument("name")
@spec_options
@common_options
def create(settings: Settings, name: str, fields: dict[str, Any]) -> None:
    """Define, build and start a storage pool: novacron pool create fast type=dir path=/srv/fast."""
    show_one(settings.host().pools.create(**({"name": name} | fields)), "name" if settings.output == "table" else settings.output)


def _verb(verb: str, text: str, said: str) -> None:
    @pool.command(verb, help=text)
    @click.argument("name")
    @common_options
    def do(settings: Settings, name: str) -> None:
        record = settings.host().invoke(f"pool_{verb}", pool=name)
        _said(settings, record, f"{name} {said}")


_verb("start", "Start a storage pool.", "is active")
_verb("stop", "Stop a storage pool. Its content is kept.", "is stopped")
_verb("refresh", "Read the list of volumes again.", "is refreshed")


@pool.command("delete")
@click.argument("name")
@yes_option
@common_options
def delete(settings: Settings, name: str, yes: bool) -> None:
    """Remove the definition of a storage pool. Its content is kept."""
    host = settings.host()
    confirm(f"delete the storage pool {name} on {host.name}", yes=yes)
    _said(settings, host.pools.delete(name), f"{name} is removed")


def _said(settings: Settings, record: Any, text: str) -> None:
    if settings.output in ("table", "wide"):
        tell(text)
    else:
        show_one(record, settings.output)


COMMANDS = {"pool": pool}
