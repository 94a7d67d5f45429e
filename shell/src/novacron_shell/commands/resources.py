"""`novacron resources`: CPU, memory and I/O of a VM."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from novacron_shell.completion import vm_argument
from novacron_shell.options import SIZE, Settings, common_options, spec_options
from novacron_shell.output import show_one

PARTS = ("disks", "nics", "devices")


@click.group("resources")
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
@vm_argument
@common_options
def show(settings: Settings, vm: str) -> None:
    """Show the values in force, and under next_start those that differ from the next start on."""
    show_one(settings.vm(vm).resources.read(), settings.output)


@resources.command("set")
@vm_argument
@click.option("--vcpus", type=int)
@click.option("--memory", type=SIZE, help='Such as "2GiB"; A running VM is changed by its balloon or by memory modules.')
@click.option("--iothreads", type=int, help="Number of I/O threads for disks.")
@_places
@common_options
def set_(
    settings: Settings, vm: str, vcpus: int | None, memory: str | None, iothreads: int | None, places: dict[str, Any]
) -> None:
    """Set the number of vCPUs, the memory or the number of I/O threads: novacron resources set web1 --memory 4GiB."""
    found = settings.vm(vm).resources
    asked: list[tuple[Any, Any]] = [(found.set_vcpus, vcpus), (found.set_memory, memory), (found.set_iothreads, iothreads)]
    if all(value is None for _, value in asked):
        raise click.UsageError("nothing to set was given")
    for method, value in asked:
        if value is not None:
            method(value, **places)
    show_one(found.read(), settings.output)


@resources.command("pin")
@vm_argument
@click.argument("pins", metavar="THREAD=CPUS...", nargs=-1, required=True)
@_places
@common_options
def pin(settings: Settings, vm: str, pins: tuple[str, ...], places: dict[str, Any]) -> None:
    """Pin threads to CPUs of the host: novacron resources pin web1 0=0-3 emulator=4,5

    An empty value removes a pin: iothread1="""
    parts = [text.partition("=") for text in pins]
    for thread, equals, cpus in parts:
        if not equals:
            raise click.BadParameter(f"{thread + cpus!r} is not THREAD=CPUS")
    show_one(settings.vm(vm).resources.pin({thread: cpus for thread, _, cpus in parts}, **places), settings.output)


@resources.command("limit")
@vm_argument
@spec_options
@_places
@common_options
def limit(settings: Settings, vm: str, fields: dict[str, Any], places: dict[str, Any]) -> None:
    """Set limits: novacron resources limit web1 cpu_limit_percent=150 disks.vda.total_iops=500

    An empty value removes a limit: memory_limit="""
    show_one(settings.vm(vm).resources.limit(**places, **_nested(fields)), settings.output)


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
