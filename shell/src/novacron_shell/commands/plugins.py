"""`novacron plugin`: installed drivers and plugins, and their status."""

from __future__ import annotations

import click

from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options
from novacron_shell.output import show_many, show_one, tell


@click.group("plugin", cls=CommandGroup)
def plugin() -> None:
    """Drivers and plugins."""


@plugin.command("list")
@list_options
def list_(settings: Settings) -> None:
    """List drivers (by URI scheme) and plugins."""
    from novacron.site import default_site

    columns = {
        "name": "name",
        "kind": "kind",
        "status": "status",
        "distribution": "distribution",
        "version": "version",
        "error": "error",
    }
    show_many(default_site().plugins.list(), columns, settings.output)


@plugin.command("show")
@click.argument("name")
@common_options
def show(settings: Settings, name: str) -> None:
    """Show a plugin: its origin, hooks and error."""
    from novacron.site import default_site

    show_one(default_site().plugins.get(name), settings.output)


def _verb(verb: str, text: str) -> None:
    @plugin.command(verb, help=text)
    @click.argument("name")
    @common_options
    def do(settings: Settings, name: str) -> None:
        from novacron.site import default_site

        info = getattr(default_site().plugins, verb)(name)
        tell(f"{name} is {info.status}" + (f": {info.error}" if info.error else ""))


_verb("enable", "Enable a plugin, permanently.")
_verb("disable", "Disable a plugin, permanently.")

COMMANDS = {"plugin": plugin}
