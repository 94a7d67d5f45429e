"""`novacron resources`: CPU, memory and I/O of a VM."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from novacron_shell.bulk import Bulk, each_vm
from novacron_shell.groups import CommandGroup
from novacron_shell.options import SIZE, spec_options
from novacron_shell.output import show_one

PARTS = ("disks", "nics", "devices")


@click.group("resources", cls=CommandGroup)
def resources() -> None:
    """CPU, memory and I/O of a VM: amounts, pinning, limits.

    By default a change applies to the running VM and to its definition. See --no-live and --no-persistent.
    """


def _places(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--live` and `--persistent`; it gets them as `places`."""

    @click.option("--live/--no-live", default=None, help="Change the running VM. Default: if it runs.")
    @click.option(
        "--persistent/--no-persistent", default=True, help="Change the definition, which is used at the next start. Default."
    )
    @functools.wraps(command)
    def wrapped(*args: Any, live: bool | None, persistent: bool, **kwargs: Any) -> Any:
        return command(*args, places={"live": live, "persistent": persistent}, **kwargs)

    return wrapped


@resources.command("show")
@each_vm
def show(bulk: Bulk) -> None:
    """Show the values in force, and under next_start those that differ from the next start on."""
    bulk.show(lambda vm: vm.resources.read())


@resources.command("set")
@each_vm
@click.option("--vcpus", type=int, help="Number of virtual CPUs.")
@click.option(
    "--memory",
    type=SIZE,
    help='Memory with its unit, such as "2GiB". A running VM is changed by its balloon or by memory modules.',
)
@click.option("--iothreads", type=int, help="Number of I/O threads for disks.")
@_places
def set_(bulk: Bulk, vcpus: int | None, memory: str | None, iothreads: int | None, places: dict[str, Any]) -> None:
    """Set the number of vCPUs, the memory or the number of I/O threads: novacron resources set web1 --memory 4GiB."""
    asked = {"set_vcpus": vcpus, "set_memory": memory, "set_iothreads": iothreads}
    if all(value is None for value in asked.values()):
        raise click.UsageError("nothing to set was given")

    def change(vm: Any) -> Any:
        for method, value in asked.items():
            if value is not None:
                getattr(vm.resources, method)(value, **places)
        return vm.resources.read()

    bulk.do("set resources", change, show_one)


@resources.command("pin")
@each_vm
@click.argument("pins", metavar="THREAD=CPUS...", nargs=-1, required=True)
@_places
def pin(bulk: Bulk, pins: tuple[str, ...], places: dict[str, Any]) -> None:
    """Pin threads to CPUs of the host: novacron resources pin web1 0=0-3 emulator=4,5

    An empty value removes a pin: iothread1="""
    parts = [text.partition("=") for text in pins]
    for thread, equals, cpus in parts:
        if not equals:
            raise click.BadParameter(f"{thread + cpus!r} is not THREAD=CPUS")
    bulk.do("pin", lambda vm: vm.resources.pin({thread: cpus for thread, _, cpus in parts}, **places), show_one)


@resources.command("limit")
@each_vm
@spec_options
@_places
def limit(bulk: Bulk, fields: dict[str, Any], places: dict[str, Any]) -> None:
    """Set limits: novacron resources limit web1 cpu_limit_percent=150 disks.vda.total_iops=500

    An empty value removes a limit: memory_limit="""
    bulk.do("limit", lambda vm: vm.resources.limit(**places, **_nested(fields)), show_one)


def _nested(fields: dict[str, Any]) -> dict[str, Any]:
    """Return "disks.vda.total_iops" and the like as mappings within each other; no value lifts a limit."""
    found: dict[str, Any] = {}
    for key, value in fields.items():
        given = None if value == "" else value
        part, dot, rest = key.partition(".")
        if part in PARTS and dot:
            name, _, field = rest.rpartition(".")
            found.setdefault(part, {}).setdefault(name, {})[field] = 0 if given is None else given
        else:
            found[key] = given
    return found


COMMANDS = {"resources": resources}
