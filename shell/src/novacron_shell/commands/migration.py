"""`novacron migrate`: moves a VM to another host."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.options import Settings, common_options, given
from novacron_shell.output import show_one, tell


@click.command("migrate")
@click.argument("vm")
@click.option("--to", "destination", required=True, metavar="HOST", help="The destination, a name of the fleet or a URI.")
@click.option("--live/--cold", default=None, help="Running, or stopped.")
@click.option(
    "--storage", type=click.Choice(["shared", "copy", "copy-top"]),
    help="Whether both hosts see the disks, or they are copied, whole or what is above a linked image.",
)  # fmt: skip
@click.option("--bandwidth", help='At most, such as "100MiB/s".')
@click.option("--max-downtime", help="The pause that is allowed at the end.")
@click.option("--deadline", help="Roll back when it takes longer.")
@click.option("--transport", type=click.Choice(["native", "tls", "tunnel"]), help="How memory and disks are sent.")
@click.option("--post-copy", is_flag=True, default=None, help="Go on at the destination after the first pass over the memory.")
@click.option("--auto-converge/--no-auto-converge", default=None, help="Slow down a guest that changes its memory too fast.")
@click.option("--compression", is_flag=True, default=None, help="Send only the changes of pages that were sent before.")
@click.option("--parallel", type=int, help="How many connections to send through.")
@click.option("--check", is_flag=True, help="Only run the pre-checks.")
@common_options
def migrate(settings: Settings, vm: str, destination: str, check: bool, **options: Any) -> None:
    """Move VM to another host, live unless it is stopped."""
    from novacron.units import format_duration, format_size
    from novacron_shell.progress import follow

    handle, to = settings.vm(vm), settings.open(destination)
    asked = given(**options)
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


COMMANDS = {"migrate": migrate}
