"""`novacron fence`: the devices that switch nodes off before their VMs are restarted elsewhere."""

from __future__ import annotations

import click

from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options
from novacron_shell.output import Columns, show_many, show_one, tell
from novacron_shell.settings import PARTLY


@click.group("fence", cls=CommandGroup)
def fence() -> None:
    """Fence devices: they switch nodes off before their VMs are restarted elsewhere."""


DEVICES: Columns = {"node": "node", "name": "name", "agent": "agent", "level": "level", "options": "options"}
READINGS: Columns = {"node": "node", "device": "device", "agent": "agent", "level": "level", "status": "status", "error": "error"}


@fence.command("agents")
@list_options
def agents(settings: Settings) -> None:
    """List the fence agents with their options."""
    from novacron import fleet

    columns: Columns = {
        "name": "name",
        "required": lambda a: ", ".join(a.required),
        "optional": lambda a: "any" if a.optional is None else ", ".join(a.optional),
    }
    found = fleet().fencing.agents()
    rows = [found[name] for name in sorted(found)]
    if settings.output == "table":
        show_many(rows, columns, "table")
    else:
        plain = [
            {"name": a.name, "required": list(a.required), "optional": None if a.optional is None else list(a.optional)}
            for a in rows
        ]
        show_many(plain, {}, settings.output)


@fence.command("list")
@click.argument("node", required=False)
@list_options
def list_(settings: Settings, node: str | None) -> None:
    """List the fence devices of NODE, or of all nodes."""
    from novacron import fleet

    names = {each.id: each.name for each in fleet().nodes.list()}
    found = [each.replace(node=names.get(each.node, each.node)) for each in fleet().fencing.list(node)]
    show_many(found, DEVICES, settings.output)


@fence.command("set")
@click.argument("node")
@click.argument("agent")
@click.option("--name", help="The name of the device. Default: the name of the agent.")
@click.option("--level", type=int, default=1, show_default=True, help="Higher levels are used if lower ones fail.")
@click.option(
    "--option", "options", multiple=True, metavar="NAME=VALUE", help="An option of the agent; NAME_secret=NAME names a secret."
)
@common_options
def set_(settings: Settings, node: str, agent: str, name: str | None, level: int, options: tuple[str, ...]) -> None:
    """Switch NODE off with AGENT: manual, redfish, vm, program, or an agent of a plugin.

    For example: novacron fence set kvm1 redfish --option url=https://bmc-kvm1 --option username=admin --option password_secret=bmc
    """
    from novacron import fleet

    pairs = {}
    for text in options:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--option: write NAME=VALUE; {key!r} has no value")
        pairs[key] = value
    for reserved in ("name", "level"):
        if reserved in pairs:
            raise click.UsageError(f"--option {reserved}: use --{reserved}")
    device = fleet().fencing.set(node, agent, name=name, level=level, **pairs)
    if settings.output == "table":
        tell(f"{node} has the fence device {device.name}; `novacron fence test {node}` asks it")
    else:
        show_one(device, settings.output)


@fence.command("remove")
@click.argument("node")
@click.argument("name")
@common_options
def remove(settings: Settings, node: str, name: str) -> None:
    """Remove the fence device NAME of NODE."""
    from novacron import fleet

    fleet().fencing.remove(node, name)
    tell(f"the fence device {name} of {node} is removed")


@fence.command("test")
@click.argument("node", required=False)
@list_options
def test(settings: Settings, node: str | None) -> None:
    """Ask the fence devices of NODE, or of all nodes, for the power. Nothing is switched off.

    A device with a wrong password or without an answer is named, and the exit code is not 0.
    """
    from novacron import fleet

    found = fleet().fencing.test(node)
    show_many(found, READINGS, settings.output)
    if any(each.error for each in found):
        raise click.exceptions.Exit(PARTLY)


COMMANDS = {"fence": fence}
