"""`novacron pool`: storage pools."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from novacron.errors import NovaCronError
from novacron_shell.confirm import confirm, yes_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options, spec_options
from novacron_shell.output import Columns, show_many, show_one, tell

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.records.pools import StoragePool


@click.group("pool", cls=CommandGroup)
def pool() -> None:
    """Storage pools."""


refresh_option = click.option(
    "--refresh", is_flag=True, help="Read the sizes now. Without it they are those of the pool's last refresh."
)


@pool.command("list")
@refresh_option
@list_options
def list_(settings: Settings, refresh: bool) -> None:
    """List the storage pools of one host or of the whole fleet.

    Hypervisors read the free space of a pool when the pool is started, refreshed, or changed through them. A guest that fills its thin
    disk, and other programs, change it unseen: --refresh reads it now.
    """
    columns: Columns = {
        "name": "name",
        "type": "type",
        "active": "active",
        "capacity": "capacity_bytes",
        "available": "available_bytes",
        "path": "path",
        "host": "host",
    }
    pools = settings.gather_from_owners(_refreshed) if refresh else settings.gather("pool_list")
    show_many(pools, columns, settings.output)
    if not refresh and sys.stdout.isatty():
        tell("The available space is that of each pool's last refresh; --refresh reads it now.")


@pool.command("show")
@click.argument("name")
@refresh_option
@common_options
def show(settings: Settings, name: str, refresh: bool) -> None:
    """Show a storage pool."""
    show_one(settings.host().invoke("pool_refresh" if refresh else "pool_get", pool=name), settings.output)


def _refreshed(host: HostHandle) -> list[StoragePool]:
    """Return the pools of a host as they are now. A pool that can't be refreshed is returned as it was, with a warning."""
    found: list[StoragePool] = []
    for known in host.pools.list():
        try:
            found.append(host.pools.refresh(known.name) if known.active else known)
        except NovaCronError as error:
            tell(f"{known.name} could not be refreshed: {error}")
            found.append(known)
    return found


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
