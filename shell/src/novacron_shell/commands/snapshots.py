"""`novacron snapshot`: saved states of a VM that it can be reverted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from novacron.units import format_duration
from novacron_shell.bulk import Bulk, each_vm, each_vm_of_list
from novacron_shell.completion import complete_snapshots, known_snapshots, remember_snapshots
from novacron_shell.confirm import yes_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import AGE, given
from novacron_shell.output import show_one, tell, write


@click.group("snapshot", cls=CommandGroup)
def snapshot() -> None:
    """Snapshots of a VM."""


@snapshot.command("list")
@each_vm_of_list
@click.option("--name", metavar="PATTERN", help="Only snapshots whose name matches, such as 'nightly-*'.")
@click.option(
    "--kind", type=click.Choice(["internal", "external"]), help="Only snapshots in the disks' own files, or in new files."
)
@click.option("--memory/--no-memory", default=None, help="Only snapshots with memory, or without.")
@click.option("--below", metavar="SNAPSHOT", help="Only descendants of this snapshot.")
@click.option("--leaves", is_flag=True, default=None, help="Only snapshots without children.")
@click.option("--older-than", type=AGE, metavar="AGE", help="Only snapshots older than this, such as 7d.")
@click.option("--newer-than", type=AGE, metavar="AGE", help="Only snapshots newer than this, such as 12h.")
@click.option("--tree", is_flag=True, help="Draw the snapshots as a tree.")
def list_(bulk: Bulk, tree: bool, **options: Any) -> None:
    """List the snapshots of VM, parents first."""
    asked = given(**options)
    if tree and bulk.output == "table":
        for vm, records in bulk.read(lambda vm: [each.record for each in vm.snapshots.list(**asked)]):
            for line in branches(records):
                write(line if bulk.single else f"{vm.name}: {line}")
        bulk.end()
        return
    columns = {
        "name": "name",
        "current": "current",
        "status": "status",
        "memory": "memory",
        "kind": "kind",
        "parent": "parent",
        "created": "created_at",
        "description": "description",
    }

    def listed(vm: Any) -> list[Any]:
        records = [each.record for each in vm.snapshots.list(**asked)]
        if bulk.single and not asked:
            remember_snapshots(vm.host.name, vm.name, (record.name for record in records))
        return records

    bulk.show_lists(listed, columns)


@snapshot.command("checkpoints")
@each_vm_of_list
def checkpoints(bulk: Bulk) -> None:
    """List the checkpoints of VM, the oldest first. Backup programs create them for incremental backups."""
    columns = {"name": "name", "created": "created_at", "broken": "broken", "disks": "disks", "parent": "parent"}
    bulk.show_lists(lambda vm: vm.snapshots.checkpoints(), columns)


@snapshot.command("show")
@each_vm
@click.argument("name", shell_complete=complete_snapshots)
def show(bulk: Bulk, name: str) -> None:
    """Show a snapshot of VM."""
    bulk.show(lambda vm: vm.snapshots[name].record)


@snapshot.command("create")
@each_vm
@click.argument("name")
@click.option("--description", help="Your own text.")
@click.option("--memory/--no-memory", default=None, help="Include the memory of a running VM.")
@click.option(
    "--kind",
    type=click.Choice(["internal", "external"]),
    help="Store the snapshot in the disks' own files, or in new files. Default: the driver chooses.",
)
@click.option("--quiesce", is_flag=True, default=None, help="Freeze the guest's file systems meanwhile (needs the guest agent).")
@click.option("--check", is_flag=True, help="Only say why the snapshot can't be taken. Nothing is changed.")
def create(bulk: Bulk, name: str, check: bool, **options: Any) -> None:
    """Take the snapshot NAME of VM."""
    if check:
        found = [(vm, problems) for vm, problems in bulk.read(lambda vm: vm.snapshots.check(name, **given(**options)))]
        for vm, problems in found:
            for problem in problems:
                tell(f"✗ {problem}")
            if not problems:
                tell(f"{vm.name} can have the snapshot {name}")
        bulk.end()
        if any(problems for _, problems in found):
            raise click.exceptions.Exit(18)
        return

    def said(made: Any, output: str) -> None:
        _remember(bulk, lambda names: [*names, name])
        show_one(made.record, "name" if output == "table" else output)

    bulk.do(f"snapshot {name}", lambda vm: vm.snapshots.create(name, wait=False, **given(**options)), said)


@snapshot.command("revert")
@each_vm
@click.argument("name", shell_complete=complete_snapshots)
@yes_option
def revert(bulk: Bulk, name: str, yes: bool) -> None:
    """Revert VM to the snapshot NAME. The present state is lost."""
    bulk.confirm(f"revert {{vms}} to {name} and lose the present state", yes=yes)

    def said(vm: Any, output: str) -> None:
        tell(f"{vm.name} is {vm.status}, as at {name}")

    bulk.do(f"revert to {name}", lambda vm: vm.snapshots[name].revert(wait=False), said)


@snapshot.command("delete")
@each_vm
@click.argument("name", required=False, default="", shell_complete=complete_snapshots)
@click.option("--children", is_flag=True, help="Also delete all descendants.")
@click.option(
    "--older-than", type=AGE, metavar="AGE", help="Instead of NAME: all snapshots older than this, such as 7d. Others stay."
)
@yes_option
def delete(bulk: Bulk, name: str, children: bool, older_than: float | None, yes: bool) -> None:
    """Delete the snapshot NAME of VM, or those that are too old."""
    if bool(name) == (older_than is not None) or (children and older_than is not None):
        raise click.UsageError("give either the NAME of a snapshot, with --children or without, or --older-than")
    if older_than is not None:
        _delete_older(bulk, older_than, yes=yes)
        return
    bulk.confirm(f"delete the snapshot {name} of {{vms}}" + (" and its descendants" if children else ""), yes=yes)

    def said(gone: Any, output: str) -> None:
        _remember(bulk, lambda names: [each for each in names if each != name])
        tell(f"deleted: {name}")

    bulk.do(f"delete {name}", lambda vm: vm.snapshots[name].delete(children=children, wait=False), said)


def _delete_older(bulk: Bulk, age: float, *, yes: bool) -> None:
    """Delete the snapshots of each VM that are older than an age, children before parents."""
    text = format_duration(age)
    bulk.confirm(f"delete the snapshots of {{vms}} that are older than {text}", yes=yes)

    def delete(vm: Any) -> list[str]:
        old = list(reversed(vm.snapshots.list(older_than=age)))
        for each in old:
            each.delete()
        return [each.name for each in old]

    def said(gone: list[str], output: str) -> None:
        _remember(bulk, lambda names: [each for each in names if each not in gone])
        tell(f"deleted: {', '.join(gone) or 'none'}")

    bulk.do(f"delete snapshots older than {text}", delete, said)


def _remember(bulk: Bulk, change: Callable[[list[str]], list[str]]) -> None:
    """Change the names of the single VM's snapshots that completion suggests."""
    vm = bulk.vms[0]
    remember_snapshots(vm.host.name, vm.name, change(known_snapshots(f"{vm.host.name}/{vm.name}")))


COMMANDS = {"snapshot": snapshot}


def branches(records: Sequence[Any], parent: str | None = None, indent: str = "") -> Iterator[str]:
    """Yield the lines of a tree of snapshots. The VM's current snapshot is marked.

    A snapshot whose parent is not in `records` is a root.
    """
    names = {r.name for r in records}
    here = [r for r in records if (r.parent if r.parent in names else None) == parent]
    for record in here:
        last = record is here[-1]
        corner, below = ("", "") if parent is None else ("└─ ", "   ") if last else ("├─ ", "│  ")
        mark = "  ● now" if record.current else ""
        yield f"{indent}{corner}{record.name}  {record.status}  {record.created_at}{mark}"
        yield from branches(records, record.name, indent + below)
