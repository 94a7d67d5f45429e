"""Commands that move a VM to another host, or its disks to another storage pool."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.completion import vm_argument
from novacron_shell.options import Settings, common_options, given
from novacron_shell.output import show_one, show_status, tell
from novacron_shell.progress import follow


@click.command("migrate")
@vm_argument
@click.option(
    "--to", "destination", metavar="HOST", help="Destination host: a name of the fleet or a URI; by default the VM's own."
)
@click.option("--node", help="Destination node within the host: an ESXi of a vCenter.")
@click.option("--pool", help="Destination storage pool.")
@click.option("--folder", help="Destination folder.")
@click.option(
    "--network", "networks", multiple=True, metavar="FROM=TO", help="Move NICs of one network to another one. Can be repeated."
)
@click.option("--live/--cold", default=None, help="Migrate the VM while it runs, or while it is stopped.")
@click.option(
    "--storage", type=click.Choice(["shared", "copy", "copy-top"]),
    help="shared: both hosts use the same storage. copy: copy all disks. copy-top: copy only the top file of each backing chain.",
)  # fmt: skip
@click.option("--bandwidth", help='Maximum transfer rate, such as "100MiB/s".')
@click.option("--max-downtime", help="Maximum pause of the VM at the end of the migration.")
@click.option("--deadline", help="Roll back if the migration takes longer.")
@click.option("--transport", type=click.Choice(["native", "tls", "tunnel"]), help="Transport for memory and disks.")
@click.option("--post-copy", is_flag=True, default=None, help="Switch to post-copy after the first pass over the memory.")
@click.option(
    "--auto-converge/--no-auto-converge", default=None, help="Throttle the CPUs of a guest that changes its memory too fast."
)
@click.option("--compression", is_flag=True, default=None, help="Compress memory pages that are sent again.")
@click.option("--parallel", type=int, help="Number of parallel connections.")
@click.option("--check", is_flag=True, help="Run the pre-checks only. Nothing is changed.")
@common_options
def migrate(settings: Settings, vm: str, destination: str | None, check: bool, networks: tuple[str, ...], **options: Any) -> None:
    """Move VM to another host. A running VM is migrated live."""
    from novacron.units import format_duration, format_size

    if not (destination or options["node"] or options["pool"] or options["folder"]):
        raise click.UsageError("give --to HOST, or --node, --pool or --folder to move it within its host")
    handle = settings.vm(vm)
    to = settings.open(destination) if destination else handle.host
    asked = given(**options, networks=dict(_mapping(pair) for pair in networks) or None)
    if check:
        result = handle.migration_check(to, **asked)
        if settings.output != "table":
            show_one(result, settings.output)
        for failure in result.failures:
            tell(f"✗ {failure}")
        for warning in result.warnings:
            tell(f"! {warning}")
        if not result.ok:
            raise click.exceptions.Exit(18)
        tell(f"{handle.name} can move from {result.source} to {result.destination}")
        return
    source = handle.host.name
    moved = follow(handle.migrate(to, wait=False, **asked), f"migrate {handle.name}")
    report = moved.last_migration
    if settings.output != "table":
        show_one(report, settings.output)
        return
    downtime = "" if report.downtime_seconds is None else f", down for {format_duration(report.downtime_seconds)}"
    sent = "" if report.transferred_bytes is None else f", {format_size(report.transferred_bytes)} sent"
    tell(
        f"{moved.name} is {moved.status} on {moved.host.name}; it left {source} in {format_duration(report.total_seconds)}{downtime}{sent}"
    )


def _mapping(pair: str) -> tuple[str, str]:
    source, equals, target = pair.partition("=")
    if not (source and equals and target):
        raise click.UsageError(f"--network {pair!r}: write FROM=TO, two networks")
    return source, target


@click.command("migrate-storage")
@click.argument("name")
@click.argument("pool")
@click.argument("disks", nargs=-1)
@common_options
def migrate_storage(settings: Settings, name: str, pool: str, disks: tuple[str, ...]) -> None:
    """Move disks of the VM NAME to the storage pool POOL. Without DISKS all disks are moved."""
    show_status(follow(settings.vm(name).migrate_storage(pool, *disks, wait=False), f"move disks of {name}"), settings.output)


COMMANDS = {"migrate": migrate}
VM_COMMANDS = {"migrate": migrate, "migrate-storage": migrate_storage}
