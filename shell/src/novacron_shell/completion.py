"""Completes names in bash, zsh and fish, from what listings saw last: no completion waits for a hypervisor."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

STATUSES = ("running", "suspended", "saved", "stopping", "stopped", "crashed", "sleeping", "migrating", "unknown")
KINDS = ("tag:", "host:", "status:")
VMS, SNAPSHOTS = "names.json", "snapshots.json"
"""Files of the state directory with the names that were seen: of VMs by host, of snapshots by HOST/VM."""
ACTIVE = frozenset("$`\"'\\;&|<>(){}[]*?!")
"""Characters that a command line of a shell does not take as they are. bash inserts a completion without quotes."""


def remember(vms: Iterable[tuple[str, str]], hosts: Iterable[str] = ()) -> None:
    """Store the names of VMs as pairs (host, name), in place of what was known of their hosts. Failures are ignored.

    Args:
        vms: the VMs.
        hosts: all hosts that were asked and answered; one without a VM has no names any more.
    """
    names = known()
    fresh: dict[str, list[str]] = {host: [] for host in hosts}
    for host, name in vms:
        fresh.setdefault(host, []).append(name)
    if all(names.get(host) == sorted(some) for host, some in fresh.items()):
        return
    names.update({host: sorted(some) for host, some in fresh.items()})
    write_state(VMS, names)


def remember_snapshots(host: str, vm: str, names: Iterable[str]) -> None:
    """Store the names of the snapshots of a VM, in place of what was known of it. Failures are ignored."""
    stored, key = read_state(SNAPSHOTS), f"{host}/{vm}"
    if stored.get(key) != (fresh := list(names)):
        write_state(SNAPSHOTS, stored | {key: fresh})


def known() -> dict[str, list[str]]:
    """Return the VMs' names by host, as far as they were seen."""
    return read_state(VMS)


def known_snapshots(vm: str) -> list[str]:
    """Return the names of the snapshots of a VM, given by name or HOST/NAME, as far as they were seen."""
    stored = read_state(SNAPSHOTS)
    return sorted({name for key, names in stored.items() if vm in (key, key.partition("/")[2]) for name in names})


def read_state(file: str) -> dict[str, Any]:
    """Return the content of a file of the state directory; nothing if there is none."""
    try:
        stored = json.loads((_folder() / file).read_text())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def write_state(file: str, content: dict[str, Any]) -> None:
    """Write a file of the state directory. Failures are ignored."""
    try:
        part = _folder() / f"{file}.{os.getpid()}"
        part.touch(mode=0o600)
        part.write_text(json.dumps(content))
        part.replace(_folder() / file)
    except OSError:
        return


def suggestions(incomplete: str, names: dict[str, list[str]]) -> list[str]:
    """Return the possible continuations of a selector.

    Example:
        >>> suggestions("w", {"kvm1": ["web1", "db1"]}), suggestions("host:", {"kvm1": []}), suggestions("status:st", {})
        (['web1'], ['host:kvm1'], ['status:stopping', 'status:stopped'])
    """
    kind, colon, _ = incomplete.partition(":")
    if incomplete.startswith("@"):
        choices: Iterable[str] = (f"@{group}" for group in _groups())
    elif colon and kind == "status":
        choices = (f"status:{status}" for status in STATUSES)
    elif colon and kind == "host":
        choices = (f"host:{host}" for host in names)
    else:
        choices = [*sorted({name for some in names.values() for name in some}), *KINDS]
    return [choice for choice in choices if choice.startswith(incomplete) and can_be_typed(choice)]


def can_be_typed(name: str) -> bool:
    """Return whether a name is safe on a command line. Other tools may give a VM any name, also `$(reboot)`.

    Example:
        >>> can_be_typed("web1"), can_be_typed("bücher 2"), can_be_typed("$(reboot)"), can_be_typed("a\\nb")
        (True, True, False, False)
    """
    return name.isprintable() and ACTIVE.isdisjoint(name)


def _groups() -> list[str]:
    """Return the names of the groups of nodes, from the state database."""
    from novacron import fleet
    from novacron.errors import NovaCronError

    try:
        return sorted({node.group for node in fleet().nodes.list() if node.group})
    except NovaCronError:
        return []


def complete_vms(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a VM's name or a selector (for click)."""
    from click.shell_completion import CompletionItem

    from novacron_shell.settings import Settings

    settings = context.find_object(Settings)
    return [CompletionItem(text) for text in suggestions(incomplete, settings.known_vms() if settings else known())]


def complete_snapshots(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a snapshot of the VM that was typed before it (for click)."""
    from click.shell_completion import CompletionItem

    names = known_snapshots(str(context.params.get("selector") or ""))
    return [CompletionItem(name) for name in names if name.startswith(incomplete) and can_be_typed(name)]


def vm_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument VM, completed by name."""
    import click

    return click.argument("vm", shell_complete=complete_vms)(command)


def _folder() -> Path:
    from novacron.state import state_directory

    return state_directory(create=False)


__all__ = [
    "can_be_typed",
    "complete_snapshots",
    "complete_vms",
    "known",
    "known_snapshots",
    "read_state",
    "remember",
    "remember_snapshots",
    "suggestions",
    "vm_argument",
    "write_state",
]
