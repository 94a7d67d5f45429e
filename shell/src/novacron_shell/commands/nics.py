"""`novacron nic`: a VM's NICs."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.completion import vm_argument
from novacron_shell.options import Settings, common_options, list_options, spec_options
from novacron_shell.output import Columns, show_many, show_one, tell


@click.group("nic")
def nic() -> None:
    """NICs of a VM."""


@nic.command("list")
@vm_argument
@list_options
def list_(settings: Settings, vm: str) -> None:
    """List the NICs of VM."""
    columns: Columns = {
        "mac": "mac", "type": "type", "network": "network", "model": "model", "link up": "link_up", "filter": "filter",
        "addresses": "addresses",
    }  # fmt: skip
    show_many([n.record for n in settings.vm(vm).nics], columns, settings.output)


@nic.command("attach")
@vm_argument
@spec_options
@common_options
def attach(settings: Settings, vm: str, fields: dict[str, Any]) -> None:
    """Attach a NIC to VM: novacron nic attach web1 network=lan."""
    _said(settings, settings.vm(vm).nics.attach(**fields).record)


@nic.command("update")
@vm_argument
@click.argument("mac")
@spec_options
@common_options
def update(settings: Settings, vm: str, mac: str, fields: dict[str, Any]) -> None:
    """Change fields of a NIC: novacron nic update web1 52:54:00:... network=lan filter=no-ping.

    An empty value removes what is set: filter=
    """
    fields = {name: None if value == "" else value for name, value in fields.items()}
    _said(settings, settings.vm(vm).nics[mac].update(**fields).record)


@nic.command("link")
@vm_argument
@click.argument("mac")
@click.argument("state", type=click.Choice(["up", "down"]))
@common_options
def link(settings: Settings, vm: str, mac: str, state: str) -> None:
    """Set the link state of a NIC."""
    _said(settings, settings.vm(vm).nics[mac].link(up=state == "up").record)


@nic.command("detach")
@vm_argument
@click.argument("mac")
@common_options
def detach(settings: Settings, vm: str, mac: str) -> None:
    """Detach a NIC from VM."""
    settings.vm(vm).nics[mac].detach()
    tell(f"{mac} is detached")


def _said(settings: Settings, record: Any) -> None:
    if settings.output == "table":
        tell(f"{record.mac}: on {record.network or record.type}, link {'up' if record.link_up else 'down'}")
    else:
        show_one(record, settings.output)


COMMANDS = {"nic": nic}
