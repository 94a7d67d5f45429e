"""`novacron disk`: a VM's disks."""

from __future__ import annotations

from typing import Any

import click

from novacron.units import format_size
from novacron_shell.bulk import Bulk, each_vm, each_vm_of_list
from novacron_shell.confirm import yes_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import SIZE, pairs, spec_options_with
from novacron_shell.output import Columns, show_one, tell


@click.group("disk", cls=CommandGroup)
def disk() -> None:
    """Disks of a VM."""


@disk.command("list")
@each_vm_of_list
def list_(bulk: Bulk) -> None:
    """List the disks of VM."""
    columns: Columns = {
        "target": "target",
        "device": "device",
        "bus": "bus",
        "format": "format",
        "size": "size_bytes",
        "source": "source",
    }
    bulk.show_lists(lambda vm: [disk.record for disk in vm.disks], columns)


@disk.command("attach")
@each_vm
@spec_options_with("size")
def attach(bulk: Bulk, fields: dict[str, Any]) -> None:
    """Attach a disk to VM: novacron disk attach web1 5GiB bus=scsi."""
    bulk.do("attach a disk", lambda vm: vm.disks.attach(**fields), _said)


@disk.command("detach")
@each_vm
@click.argument("target")
@click.option("--delete", is_flag=True, help="Also delete the volume of the disk.")
@yes_option
def detach(bulk: Bulk, target: str, delete: bool, yes: bool) -> None:
    """Detach the disk TARGET (such as vdb) from VM."""
    bulk.confirm(f"detach {target} from {{vms}}" + (" and delete its volume" if delete else ""), yes=yes)

    def said(vm: Any, output: str) -> None:
        tell(f"{target} is detached" + (" and deleted" if delete else ""))

    bulk.do(f"detach {target}", lambda vm: vm.disks[target].detach(delete=delete), said)


@disk.command("resize")
@each_vm
@click.argument("target")
@click.argument("size", type=SIZE)
def resize(bulk: Bulk, target: str, size: str) -> None:
    """Grow the disk TARGET of VM to SIZE. A running guest sees the new size."""
    bulk.do(f"resize {target}", lambda vm: vm.disks[target].resize(size), _said)


@disk.command("limit")
@each_vm
@click.argument("target")
@click.argument("limits", metavar="KEY=VALUE...", nargs=-1, required=True)
def limit(bulk: Bulk, target: str, limits: tuple[str, ...]) -> None:
    """Limit the I/O of a disk: read_iops=100 write_bytes_per_second=20MiB. 0 removes a limit."""
    wanted: dict[str, Any] = {key: value for text in limits for key, value in pairs(text).items()}
    bulk.do(f"limit {target}", lambda vm: vm.disks[target].limit(**wanted), _said)


@disk.command("pull")
@each_vm
@click.argument("target")
def pull(bulk: Bulk, target: str) -> None:
    """Pull the backing file into the disk TARGET of VM (block pull). The disk then has no backing file."""
    bulk.do(f"pull {target}", lambda vm: vm.disks[target].pull(wait=False), _said)


@disk.command("commit")
@each_vm
@click.argument("target")
def commit(bulk: Bulk, target: str) -> None:
    """Commit the disk TARGET of VM into its backing file (block commit). The VM then uses that file."""
    bulk.do(f"commit {target}", lambda vm: vm.disks[target].commit(wait=False), _said)


@disk.command("media")
@each_vm
@click.argument("target")
@click.argument("source", default="")
def media(bulk: Bulk, target: str, source: str) -> None:
    """Insert SOURCE into the CD-ROM drive TARGET of VM. Without SOURCE the medium is ejected."""
    bulk.do(f"change the medium of {target}", lambda vm: vm.disks[target].change_media(source), _said)


def _said(disk: Any, output: str) -> None:
    record = disk.record
    if output == "table":
        tell(
            f"{record.target}: {record.source or 'empty'}" + (f", {format_size(record.size_bytes)}" if record.size_bytes else "")
        )
    else:
        show_one(record, output)


COMMANDS = {"disk": disk}
