"""`novacron snapshot`: saved states of a VM that it can be reverted to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from novacron_shell.completion import vm_argument
from novacron_shell.confirm import confirm, yes_option
from novacron_shell.options import Settings, common_options, given, list_options
from novacron_shell.output import show_many, show_one, tell


@click.group("snapshot")
def snapshot() -> None:
    """Snapshots of a VM."""


@snapshot.command("list")
@vm_argument
@click.option("--name", metavar="PATTERN", help="Only snapshots whose name matches, such as 'nightly-*'.")
@click.option("--kind", type=click.Choice(["internal", "external"]))
@click.option("--memory/--no-memory", default=None, help="Only snapshots with memory, or without.")
@click.option("--below", metavar="SNAPSHOT", help="Only descendants of this snapshot.")
@click.option("--leaves", is_flag=True, default=None, help="Only snapshots without children.")
@click.option("--older-than", metavar="AGE", help="Only snapshots older than this, such as 7d.")
@click.option("--newer-than", metavar="AGE")
@click.option("--tree", is_flag=True, help="Draw the snapshots as a tree.")
@list_options
def list_(settings: Settings, vm: str, tree: bool, **options: Any) -> None:
    """List the snapshots of VM, parents first."""
    records = [s.record for s in settings.vm(vm).snapshots.list(**given(**options))]
    if tree and settings.output == "table":
        for line in branches(records):
            print(line)
        return
    columns = {
        "name": "name", "current": "current", "status": "status", "memory": "memory", "kind": "kind", "parent": "parent",
        "created": "created_at", "description": "description",
    }  # fmt: skip
    show_many(records, columns, settings.output)


@snapshot.command("show")
@vm_argument
@click.argument("name")
@common_options
def show(settings: Settings, vm: str, name: str) -> None:
    """Show a snapshot of VM."""
    show_one(settings.vm(vm).snapshots[name].record, settings.output)


@snapshot.command("create")
@vm_argument
@click.argument("name")
@click.option("--description")
@click.option("--memory/--no-memory", default=None, help="Include the memory of a running VM.")
@click.option("--kind", type=click.Choice(["internal", "external"]))
@click.option("--quiesce", is_flag=True, default=None, help="Freeze the guest's file systems meanwhile (needs the guest agent).")
@common_options
def create(settings: Settings, vm: str, name: str, **options: Any) -> None:
    """Take the snapshot NAME of VM."""
    from novacron_shell.progress import follow

    made = follow(settings.vm(vm).snapshots.create(name, wait=False, **given(**options)), f"snapshot {name}")
    show_one(made.record, "name" if settings.output == "table" else settings.output)


@snapshot.command("revert")
@vm_argument
@click.argument("name")
@yes_option
@common_options
def revert(settings: Settings, vm: str, name: str, yes: bool) -> None:
    """Revert VM to the snapshot NAME. The present state is lost."""
    from novacron_shell.progress import follow

    handle = settings.vm(vm)
    confirm(f"revert {handle.name} on {handle.host.name} to {name} and lose its present state", yes=yes)
    back = follow(handle.snapshots[name].revert(wait=False), f"revert to {name}")
    tell(f"{back.name} is {back.status}, as at {name}")


@snapshot.command("delete")
@vm_argument
@click.argument("name")
@click.option("--children", is_flag=True, help="Also delete all descendants.")
@yes_option
@common_options
def delete(settings: Settings, vm: str, name: str, children: bool, yes: bool) -> None:
    """Delete the snapshot NAME of VM."""
    from novacron_shell.progress import follow

    handle = settings.vm(vm)
    confirm(f"delete the snapshot {name} of {handle.name}" + (" and its descendants" if children else ""), yes=yes)
    follow(handle.snapshots[name].delete(children=children, wait=False), f"delete {name}")
    tell(f"deleted: {name}")


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
