"""`novacron node`: the nodes of the fleet, their capacity, groups and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from novacron_shell.groups import CommandGroup
from novacron_shell.options import SIZE, Settings, common_options, given, list_options
from novacron_shell.output import Columns, show_many, show_one, tell
from novacron_shell.settings import PARTLY


@click.group("node", cls=CommandGroup)
def node() -> None:
    """Nodes of the fleet: the machines that run VMs, and their capacity."""


def share(resource: str) -> Callable[[Any], str]:
    """Return a function that shows what is allocated of a resource, and the limit."""
    from novacron.units import format_size

    def shown(amount: float) -> str:
        if amount == float("inf"):
            return "unlimited"
        return f"{amount:g}" if resource == "vcpus" else format_size(int(amount))

    def cell(record: Any) -> str:
        inventory = getattr(record, resource)
        return f"{shown(inventory.allocated)} of {shown(inventory.limit)}"

    return cell


def status_of(record: Any) -> str:
    """Return the status of a node, and whether it is cordoned."""
    return f"{record.status}, cordoned" if record.cordoned else str(record.status)


COLUMNS: Columns = {
    "name": "name",
    "host": "host",
    "status": status_of,
    "group": "group",
    "vcpus": share("vcpus"),
    "memory": share("memory"),
    "storage": share("storage"),
}
WIDE: Columns = {"labels": "labels", "id": "id", "reason": "reason"}


@node.command("list")
@click.option("--group", help="Only nodes of this group.")
@click.option("--stored", is_flag=True, help="List what is stored. Do not read the hosts.")
@list_options
def list_(settings: Settings, group: str | None, stored: bool) -> None:
    """List the nodes with what is allocated, as the hosts report it now."""
    from novacron import fleet
    from novacron_shell.settings import FLEET_TIMEOUT

    unreachable = {} if stored else fleet().nodes.refresh(timeout=settings.timeout or FLEET_TIMEOUT).unreachable
    show_many(fleet().nodes.list(group=group), COLUMNS, settings.output, wide=WIDE)
    _tell_unreachable(unreachable)


@node.command("show")
@click.argument("name")
@common_options
def show(settings: Settings, name: str) -> None:
    """Show all fields of the node NAME and what its VMs take."""
    from novacron import fleet

    found = fleet().nodes[name]
    allocated = fleet().allocations(found.id)
    if settings.output != "table":
        show_one({**found.as_dict(), "allocations": [each.as_dict() for each in allocated]}, settings.output)
        return
    show_one(found, "table")
    show_many(allocated, ALLOCATIONS, settings.output)


def _tell_unreachable(unreachable: Mapping[str, Exception]) -> None:
    for host, error in unreachable.items():
        tell(f"error: {host}: {error}")
    if unreachable:
        raise click.exceptions.Exit(PARTLY)


ALLOCATIONS: Columns = {
    "vm": "name",
    "vcpus": lambda a: a.amounts.vcpus,
    "memory_bytes": lambda a: _bytes(a.amounts.memory_bytes),
    "storage_bytes": lambda a: _bytes(a.amounts.storage_bytes),
    "active": "active",
    "owner": "owner",
    "tags": "tags",
}


def _bytes(amount: int) -> str:
    from novacron.units import format_size

    return format_size(amount)


@node.command("refresh")
@click.argument("hosts", nargs=-1)
@common_options
def refresh(settings: Settings, hosts: tuple[str, ...]) -> None:
    """Read nodes and VMs from HOSTS, or from all hosts of the fleet. Differences to what was stored are shown."""
    from novacron import fleet
    from novacron_shell.settings import FLEET_TIMEOUT

    found = fleet().nodes.refresh(hosts or None, timeout=settings.timeout or FLEET_TIMEOUT)
    show_many(found.drifts, {"vm": "name", "node": "node", "what": "what"}, settings.output)
    for name in found.busy:
        tell(f"{name}: its VMs changed while they were read; read it again later")
    _tell_unreachable(found.unreachable)


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options for allocation ratios and reserves."""
    options = [
        click.option("--vcpus-ratio", type=NUMBER, help='vCPUs for each CPU thread, such as 4, or "unlimited".'),
        click.option("--memory-ratio", type=NUMBER, help="How often the memory may be allocated. Above 1 is overcommitment."),
        click.option("--storage-ratio", type=NUMBER, help='How often the storage may be allocated. Default: "unlimited".'),
        click.option("--vcpus-reserved", type=int, help="CPU threads that are kept for the node itself."),
        click.option("--memory-reserved", type=SIZE, help="Memory that is kept for the node itself. Default: 512MiB."),
        click.option("--storage-reserved", type=SIZE, help="Storage that is kept for the node itself."),
        click.option(
            "--inherit", multiple=True, metavar="FIELD", help="Use the inherited value of a field, such as vcpus-ratio."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


class NumberType(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A number, or the word "unlimited"."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a float or "unlimited". Raises click.BadParameter."""
        if value == "unlimited":
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f'{value!r} is neither a number nor "unlimited"', param, ctx)


NUMBER = NumberType()


def given_limits(inherit: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return the limits that were given; the fields of `--inherit` are None."""
    return given(**options) | {name.replace("-", "_"): None for name in inherit}


@node.command("set")
@click.argument("name")
@click.option("--group", help='The group that the node joins. "" takes it out of its group.')
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help='Set a label such as rack=r1; "NAME=" removes it.')
@limit_options
@common_options
def set_(
    settings: Settings, name: str, group: str | None, labels: tuple[str, ...], inherit: tuple[str, ...], **options: Any
) -> None:
    """Change the group, labels and limits of the node NAME.

    The capacity of a node is managed once it has a group: operations that would exceed its limits are then refused.
    """
    from novacron import fleet

    pairs = {}
    for text in labels:
        label, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--label {text!r}: write NAME=VALUE, or NAME= to remove it")
        pairs[label] = value or None
    limits = given_limits(inherit, options)
    if group is None and not pairs and not limits:
        raise click.UsageError("nothing to change was given")
    changed = fleet().nodes.set(name, group=group, labels=pairs or None, **limits)
    _tell_or_show(changed, settings, f"{changed.name} is in the group {changed.group or '-'}")


@node.command("cordon")
@click.argument("name")
@click.option("--reason", default="", help="Why, for other people.")
@common_options
def cordon(settings: Settings, name: str, reason: str) -> None:
    """Place no further VMs on the node NAME. Its VMs keep running."""
    from novacron import fleet

    changed = fleet().nodes.cordon(name, reason)
    _tell_or_show(changed, settings, f"{changed.name} takes no further VMs")


@node.command("uncordon")
@click.argument("name")
@common_options
def uncordon(settings: Settings, name: str) -> None:
    """Place VMs on the node NAME again."""
    from novacron import fleet

    changed = fleet().nodes.uncordon(name)
    _tell_or_show(changed, settings, f"{changed.name} takes VMs again")


def _tell_or_show(changed: Any, settings: Settings, text: str) -> None:
    if settings.output == "table":
        tell(text)
    else:
        show_one(changed, settings.output)


COMMANDS = {"node": node}
