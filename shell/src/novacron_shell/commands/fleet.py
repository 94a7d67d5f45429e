"""`novacron fleet`: capacity of the whole fleet, and settings of its groups."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.commands.nodes import COLUMNS, given_limits, limit_options, share
from novacron_shell.options import Settings, common_options, list_options
from novacron_shell.output import Columns, show_many, show_one, tell


@click.group("fleet")
def fleet() -> None:
    """Capacity of the fleet and settings of its groups."""


GROUPS: Columns = {
    "group": lambda g: g.name or "-",
    "nodes": lambda g: f"{g.usable_nodes} of {g.nodes}",
    "vcpus": share("vcpus"),
    "memory": share("memory"),
    "storage": share("storage"),
}


@fleet.command("report")
@click.option("--stored", is_flag=True, help="Report what is stored. Do not read the hosts.")
@common_options
def report(settings: Settings, stored: bool) -> None:
    """Report the capacity of all groups and nodes: what is allocated, and the limits."""
    from novacron import fleet
    from novacron_shell.settings import FLEET_TIMEOUT

    found = fleet().report(refresh=not stored, timeout=settings.timeout or FLEET_TIMEOUT)
    if settings.output != "table":
        show_one(found, settings.output)
        return
    show_many(found.groups, GROUPS, settings.output)
    click.echo()
    show_many(found.nodes, COLUMNS, settings.output)


@fleet.command("groups")
@list_options
def groups(settings: Settings) -> None:
    """List the groups with their nodes and settings."""
    from novacron import fleet

    show_many(fleet().groups.list(), {"name": "name", "nodes": "nodes", "settings": "settings"}, settings.output)


@fleet.command("set-group")
@click.argument("name")
@limit_options
@common_options
def set_group(settings: Settings, name: str, inherit: tuple[str, ...], **options: Any) -> None:
    """Change settings of the group NAME. The name "fleet" changes the settings of all groups."""
    from novacron import fleet

    limits = given_limits(inherit, options)
    if not limits:
        raise click.UsageError("nothing to change was given")
    changed = fleet().groups.set(name, **limits)
    if settings.output == "table":
        tell(f"{changed.name} is changed")
    else:
        show_one(changed, settings.output)


@fleet.command("remove-group")
@click.argument("name")
@common_options
def remove_group(settings: Settings, name: str) -> None:
    """Delete the settings of the group NAME, which has no nodes any more."""
    from novacron import fleet

    fleet().groups.remove(name)
    tell(f"the settings of {name} are removed")


COMMANDS = {"fleet": fleet}
