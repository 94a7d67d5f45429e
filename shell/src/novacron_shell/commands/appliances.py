"""Commands of `novacron vm` for appliances (OVA files)."""

from __future__ import annotations

from pathlib import Path

import click

from novacron_shell.options import Settings, common_options
from novacron_shell.output import show_one, show_status


@click.command("export-appliance")
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@common_options
def export_appliance(settings: Settings, name: str, file: Path) -> None:
    """Export a stopped VM as an OVA file, which any hypervisor can import."""
    show_one(settings.vm(name).export_appliance(file), settings.output)


@click.command("import-appliance")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Name of the new VM. By default the name in the OVA file.")
@click.option("--pool", default="default", show_default=True, help="Storage pool for the disks.")
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="THEIRS=OURS",
    help="Connect NICs of the OVA's network THEIRS to the host's network OURS.",
)
@click.option("--start", is_flag=True, help="Start the VM after the import.")
@common_options
def import_appliance(settings: Settings, file: Path, name: str | None, pool: str, networks: tuple[str, ...], start: bool) -> None:
    """Create a VM from an OVA file."""
    parts = [network.partition("=") for network in networks]
    for theirs, equals, ours in parts:
        if not equals or not ours:
            raise click.BadParameter(f"{theirs!r} is not THEIRS=OURS", param_hint="--network")
    mapping = {theirs: ours for theirs, _, ours in parts}
    show_status(settings.host().vms.import_appliance(file, name=name, pool=pool, networks=mapping, start=start), settings.output)


VM_COMMANDS = {"export-appliance": export_appliance, "import-appliance": import_appliance}
