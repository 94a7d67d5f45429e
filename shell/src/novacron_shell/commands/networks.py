"""`novacron network`: networks of a host and their DHCP leases."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.confirm import confirm, yes_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options, spec_options
from novacron_shell.output import Columns, show_many, show_one, tell


@click.group("network", cls=CommandGroup)
def network() -> None:
    """Networks and DHCP leases."""


@network.command("list")
@list_options
def list_(settings: Settings) -> None:
    """List the networks of one host or of the whole fleet."""
    columns: Columns = {
        "name": "name",
        "type": "type",
        "active": "active",
        "bridge": "bridge",
        "addresses": "cidrs",
        "host": "host",
    }
    show_many(settings.gather("network_list"), columns, settings.output)


@network.command("show")
@click.argument("name")
@common_options
def show(settings: Settings, name: str) -> None:
    """Show a network."""
    show_one(settings.host().networks[name], settings.output)


@network.command("create")
@click.argument("name")
@spec_options
@common_options
def create(settings: Settings, name: str, fields: dict[str, Any]) -> None:
    """Define and start a network: novacron network create lan type=nat cidr=10.0.5.1/24."""
    made = settings.host().networks.create(**({"name": name} | fields))
    show_one(made, "name" if settings.output == "table" else settings.output)


@network.command("update")
@click.argument("name")
@spec_options
@common_options
def update(settings: Settings, name: str, fields: dict[str, Any]) -> None:
    """Change fields of a network. The network keeps running where the hypervisor allows it."""
    if not fields:
        raise click.UsageError("nothing to change was given")
    show_one(settings.host().networks.update(name, **fields), settings.output)


def _verb(verb: str, text: str, said: str) -> None:
    @network.command(verb, help=text)
    @click.argument("name")
    @common_options
    def do(settings: Settings, name: str) -> None:
        record = getattr(settings.host().networks, verb)(name)
        _said(settings, record, f"{name} {said}")


_verb("start", "Start a network.", "is active")
_verb("stop", "Stop a network.", "is stopped")


@network.command("delete")
@click.argument("name")
@yes_option
@common_options
def delete(settings: Settings, name: str, yes: bool) -> None:
    """Stop a network and remove its definition."""
    host = settings.host()
    confirm(f"delete the network {name} on {host.name}", yes=yes)
    _said(settings, host.networks.delete(name), f"{name} is deleted")


@network.command("leases")
@click.argument("name", default="default")
@list_options
def leases(settings: Settings, name: str) -> None:
    """List the DHCP leases of the network NAME, on one host or on all hosts of the fleet that have it."""
    columns: Columns = {"mac": "mac", "address": "address", "host name": "hostname", "expires": "expires_at"}
    show_many(settings.gather_from_owners(lambda host: host.networks.leases(name)), columns, settings.output)


@network.command("clashes")
@list_options
def clashes(settings: Settings) -> None:
    """List MAC addresses that more than one NIC of the fleet has. All addresses in use are recorded."""
    from novacron import fleet

    columns: Columns = {"mac": "mac", "VMs": lambda c: ", ".join(c.vms)}
    show_many(fleet().mac_clashes(), columns, settings.output)


def _said(settings: Settings, record: Any, text: str) -> None:
    if settings.output in ("table", "wide"):
        tell(text)
    else:
        show_one(record, settings.output)


COMMANDS = {"network": network}
