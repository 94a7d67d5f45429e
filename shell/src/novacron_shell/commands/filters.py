"""`novacron filter`: traffic filters."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.confirm import confirm, yes_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, TextFile, common_options, list_options, pairs
from novacron_shell.output import Columns, show_many, show_one, tell


@click.group("filter", cls=CommandGroup)
def filter_() -> None:
    """Traffic filters."""


@filter_.command("list")
@list_options
def list_(settings: Settings) -> None:
    """List the traffic filters of one host or of the whole fleet."""
    columns: Columns = {
        "name": "name",
        "rules": lambda f: str(len(f.rules)),
        "default": "default",
        "anti-spoofing": "anti_spoofing",
        "host": "host",
    }
    show_many(settings.gather("filter_list"), columns, settings.output)


@filter_.command("show")
@click.argument("name")
@common_options
def show(settings: Settings, name: str) -> None:
    """Show a traffic filter with its rules."""
    show_one(settings.host().filters[name], settings.output)


def _writer(verb: str, text: str) -> None:
    @filter_.command(verb, help=text)
    @click.argument("name")
    @click.option(
        "--rule",
        "rules",
        multiple=True,
        metavar="KEY=VALUE,...",
        help="action=deny,direction=in,protocol=tcp,ports=22,peer=10.0.0.0/8",
    )
    @click.option(
        "--default", type=click.Choice(["allow", "deny"]), default="allow", help="Action for packets that no rule matches."
    )
    @click.option("--anti-spoofing", is_flag=True, help="Drop outgoing packets with foreign MAC or IP addresses.")
    @click.option(
        "--native", type=TextFile(), help="A definition in the hypervisor's native format, in place of rules (- reads stdin)."
    )
    @common_options
    def write(settings: Settings, name: str, rules: tuple[str, ...], native: Any, **fields: Any) -> None:
        fields["rules"] = [pairs(rule) for rule in rules]
        if native:
            fields = {"native": native.read()}
        record = getattr(settings.host().filters, verb)(name, **fields)
        show_one(record, "name" if settings.output == "table" else settings.output)


_writer("create", "Define a traffic filter.")
_writer("update", "Replace the rules of a traffic filter, also for running VMs.")


@filter_.command("delete")
@click.argument("name")
@yes_option
@common_options
def delete(settings: Settings, name: str, yes: bool) -> None:
    """Delete a traffic filter that no NIC uses."""
    host = settings.host()
    confirm(f"delete the traffic filter {name} on {host.name}", yes=yes)
    host.filters.delete(name)
    tell(f"deleted: {name}")


COMMANDS = {"filter": filter_}
