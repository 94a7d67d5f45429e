"""Commands that move a VM to another host, or its disks to another storage pool."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.bulk import Bulk, each_vm, each_vm_beside_parallel
from novacron_shell.options import given
from novacron_shell.output import show_one, show_status, tell


@click.command("migrate")
@each_vm_beside_parallel
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
    "--storage",
    type=click.Choice(["shared", "copy", "copy-top"]),
    help="shared: both hosts use the same storage. copy: copy all disks. copy-top: copy only the top file of each backing chain.",
)
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
def migrate(bulk: Bulk, destination: str | None, check: bool, networks: tuple[str, ...], **options: Any) -> None:
    """Move VM to another host. A running VM is migrated live."""
    if not (destination or options["node"] or options["pool"] or options["folder"]):
        raise click.UsageError("give --to HOST, or --node, --pool or --folder to move it within its host")
    to = bulk.settings.open(destination) if destination else None
    asked = given(**options, networks=dict(_mapping(pair) for pair in networks) or None)
    if check:
        answers = bulk.read(lambda vm: vm.migration_check(to or vm.host, **asked))
        passed = [_checked(vm.name, result, bulk.output) for vm, result in answers]
        bulk.end()
        if not all(passed):
            raise click.exceptions.Exit(18)
        return
    source = bulk.vms[0].host.name
    bulk.do("migrate", lambda vm: vm.migrate(to or vm.host, wait=False, **asked), lambda vm, output: _moved(vm, source, output))


def _checked(name: str, result: Any, output: str) -> bool:
    """Print the result of the pre-checks, and return whether all passed."""
    if output != "table":
        show_one(result, output)
    for failure in result.failures:
        tell(f"✗ {failure}")
    for warning in result.warnings:
        tell(f"! {warning}")
    if result.ok:
        tell(f"{name} can move from {result.source} to {result.destination}")
    return bool(result.ok)


def _moved(vm: Any, source: str, output: str) -> None:
    """Print the report of a migration."""
    from novacron.units import format_duration, format_size

    report = vm.last_migration
    if output != "table":
        show_one(report, output)
        return
    downtime = "" if report.downtime_seconds is None else f", down for {format_duration(report.downtime_seconds)}"
    sent = "" if report.transferred_bytes is None else f", {format_size(report.transferred_bytes)} sent"
    took = format_duration(report.total_seconds)
    kept = f"; kept on {source}: {', '.join(report.kept)}" if report.kept else ""
    tell(f"{vm.name} is {vm.status} on {vm.host.name}; it left {source} in {took}{downtime}{sent}{kept}")
    if report.hint:
        tell(f"hint: {report.hint}")


def _mapping(pair: str) -> tuple[str, str]:
    source, equals, target = pair.partition("=")
    if not (source and equals and target):
        raise click.UsageError(f"--network {pair!r}: write FROM=TO, two networks")
    return source, target


@click.command("migrate-storage")
@each_vm
@click.argument("pool")
@click.argument("disks", nargs=-1)
def migrate_storage(bulk: Bulk, pool: str, disks: tuple[str, ...]) -> None:
    """Move disks of VM to the storage pool POOL. Without DISKS all disks are moved."""
    bulk.do("move disks", lambda vm: vm.migrate_storage(pool, *disks, wait=False), show_status)


COMMANDS = {"migrate": migrate}
VM_COMMANDS = {"migrate": migrate, "migrate-storage": migrate_storage}
