"""`novacron storage` and `novacron network`."""

from __future__ import annotations

import click

from novacron.units import format_size
from novacron_shell.options import Settings, common_options
from novacron_shell.output import Columns, show_many


@click.group("storage")
def storage() -> None:
    """Storage pools and volumes."""


@storage.command("pools")
@common_options
def pools(settings: Settings) -> None:
    """List the storage pools."""
    columns: Columns = {
        "name": "name", "type": "type", "active": "active", "capacity": lambda p: format_size(p.capacity_bytes),
        "available": lambda p: format_size(p.available_bytes), "path": "path",
    }  # fmt: skip
    show_many(settings.host().invoke("pool_list"), columns, settings.output)


@storage.command("volumes")
@click.argument("pool", default="default")
@common_options
def volumes(settings: Settings, pool: str) -> None:
    """List the volumes of POOL."""
    columns: Columns = {
        "name": "name", "format": "format", "capacity": lambda v: format_size(v.capacity_bytes),
        "allocated": lambda v: format_size(v.allocated_bytes), "backing": "backing",
    }  # fmt: skip
    show_many(settings.host().invoke("volume_list", pool=pool), columns, settings.output)


@click.group("network")
def network() -> None:
    """Networks and DHCP leases."""


@network.command("list")
@common_options
def list_(settings: Settings) -> None:
    """List the networks."""
    columns: Columns = {"name": "name", "type": "type", "active": "active", "bridge": "bridge", "addresses": "cidrs"}
    show_many(settings.host().invoke("network_list"), columns, settings.output)


@network.command("leases")
@click.argument("name", default="default")
@common_options
def leases(settings: Settings, name: str) -> None:
    """List the DHCP leases of the network NAME."""
    columns: Columns = {"mac": "mac", "address": "address", "host name": "hostname", "expires": "expires_at"}
    show_many(settings.host().invoke("lease_list", network=name), columns, settings.output)


COMMANDS = {"storage": storage, "network": network}
