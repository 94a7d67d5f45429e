"""Commands of `novacron vm` that measure: metrics, history, rates."""

from __future__ import annotations

from typing import Any

import click

from novacron.errors import NovaCronError
from novacron.handles.vms import Each
from novacron_shell.bulk import Bulk, each_vm
from novacron_shell.options import Settings, list_options
from novacron_shell.output import show_many
from novacron_shell.selection import select


@click.command("metrics")
@each_vm
def metrics(bulk: Bulk) -> None:
    """Show the current metrics of VM."""
    bulk.show(lambda vm: vm.metrics())


@click.command("history")
@click.argument("name")
@click.option("--over", default="1h", show_default=True, help="The period to show.")
@list_options
def history(settings: Settings, name: str, over: str) -> None:
    """Show the metrics that the hypervisor stored for the VM NAME, one line for each interval, oldest first."""
    from novacron.units import format_size

    def size(field: str, unit: str = "/s") -> Any:
        return lambda r: "-" if getattr(r, field) is None else f"{format_size(int(getattr(r, field)))}{unit}"

    columns: dict[str, Any] = {
        "until": "at",
        "seconds": lambda r: f"{r.seconds:g}",
        "cpus": lambda r: "-" if r.cpus is None else f"{r.cpus:.2f}",
        "memory": size("memory_used_bytes", ""),
        "read": size("disk_read_bytes"),
        "written": size("disk_written_bytes"),
        "received": size("net_received_bytes"),
        "sent": size("net_sent_bytes"),
    }
    show_many(settings.vm(name).history(over), columns, settings.output)


@click.command("rates")
@click.argument("names", nargs=-1)
@click.option("--over", default="1s", show_default=True, help="The interval between the two measurements.")
@list_options
def rates(settings: Settings, names: tuple[str, ...], over: str) -> None:
    """Measure the CPU, disk and network rates of the VMs NAMES, or of all running VMs of a host. Busiest VM first."""
    from novacron.units import format_size

    if names:
        chosen = select(settings, names)
        found = Each(chosen).rates(over)
        if errors := [each for each in found if isinstance(each, NovaCronError)]:
            raise errors[0]
        called = {one.id: one.name for one in chosen}
    else:
        both = settings.ask(lambda host: (host.vms.rates(over), host.vms.list().records))
        found = [rates for some, _ in both for rates in some]
        called = {record.id: record.name for _, records in both for record in records}

    def size(field: str) -> Any:
        return lambda r: f"{format_size(getattr(r, field))}/s"

    columns: dict[str, Any] = {
        "name": lambda r: called.get(r.vm, r.vm),
        "cpus": lambda r: f"{r.cpus:.2f}",
        "read": size("disk_read_bytes"),
        "written": size("disk_written_bytes"),
        "received": size("net_received_bytes"),
        "sent": size("net_sent_bytes"),
        "host": "host",
    }
    show_many(sorted(found, key=lambda r: -r.cpus), columns, settings.output)


VM_COMMANDS = {"metrics": metrics, "history": history, "rates": rates}
