"""`novacron disk`: a VM's disks."""

from __future__ import annotations

from typing import Any

import click

from novacron.units import format_size
from novacron_shell.completion import vm_argument
from novacron_shell.confirm import confirm, yes_option
from novacron_shell.options import SIZE, Settings, common_options, list_options, pairs, spec_options
from novacron_shell.output import Columns, show_many, show_one, tell
from novacron_shell.progress import follow


@click.group("disk")
def disk() -> None:
    """Disks of a VM."""


@disk.command("list")
@vm_argument
@list_options
def list_(settings: Settings, vm: str) -> None:
    """List the disks of VM."""
    columns: Columns = {
        "target": "target", "device": "device", "bus": "bus", "format": "format", "size": "size_bytes",
        "source": "source",
    }  # fmt: skip
    show_many([d.record for d in settings.vm(vm).disks], columns, settings.output)


@disk.command("attach")
@vm_argument
@spec_options
@common_options
def attach(settings: Settings, vm: str, fields: dict[str, Any]) -> None:
    """Attach a disk to VM: novacron disk attach web1 size=5GiB bus=scsi."""
    _said(settings, settings.vm(vm).disks.attach(**fields).record)


@disk.command("detach")
@vm_argument
@click.argument("target")
@click.option("--delete", is_flag=True, help="Also delete the volume of the disk.")
@yes_option
@common_options
def detach(settings: Settings, vm: str, target: str, delete: bool, yes: bool) -> None:
    """Detach the disk TARGET (such as vdb) from VM."""
    handle = settings.vm(vm)
    confirm(f"detach {target} from {handle.name} on {handle.host.name}" + (" and delete its volume" if delete else ""), yes=yes)
    handle.disks[target].detach(delete=delete)
    tell(f"{target} is detached" + (" and deleted" if delete else ""))


@disk.command("resize")
@vm_argument
@click.argument("target")
@click.argument("size", type=SIZE)
@common_options
def resize(settings: Settings, vm: str, target: str, size: str) -> None:
    """Grow the disk TARGET of VM to SIZE. A running guest sees the new size."""
    _said(settings, settings.vm(vm).disks[target].resize(size).record)


@disk.command("limit")
@vm_argument
@click.argument("target")
@click.argument("limits", metavar="KEY=VALUE...", nargs=-1, required=True)
@common_options
def limit(settings: Settings, vm: str, target: str, limits: tuple[str, ...]) -> None:
    """Limit the I/O of a disk: read_iops=100 write_bytes_per_second=20MiB. 0 removes a limit."""
    wanted = {key: value for text in limits for key, value in pairs(text).items()}
    _said(settings, settings.vm(vm).disks[target].limit(**wanted).record)


@disk.command("pull")
@vm_argument
@click.argument("target")
@common_options
def pull(settings: Settings, vm: str, target: str) -> None:
    """Pull the backing file into the disk TARGET of VM (block pull). The disk then has no backing file."""
    _said(settings, follow(settings.vm(vm).disks[target].pull(wait=False), f"pull {target}").record)


@disk.command("commit")
@vm_argument
@click.argument("target")
@common_options
def commit(settings: Settings, vm: str, target: str) -> None:
    """Commit the disk TARGET of VM into its backing file (block commit). The VM then uses that file."""
    _said(settings, follow(settings.vm(vm).disks[target].commit(wait=False), f"commit {target}").record)


@disk.command("media")
@vm_argument
@click.argument("target")
@click.argument("source", default="")
@common_options
def media(settings: Settings, vm: str, target: str, source: str) -> None:
    """Insert SOURCE into the CD-ROM drive TARGET of VM. Without SOURCE the medium is ejected."""
    _said(settings, settings.vm(vm).disks[target].change_media(source).record)


def _said(settings: Settings, record: Any) -> None:
    if settings.output == "table":
        tell(
            f"{record.target}: {record.source or 'empty'}" + (f", {format_size(record.size_bytes)}" if record.size_bytes else "")
        )
    else:
        show_one(record, settings.output)


COMMANDS = {"disk": disk}
