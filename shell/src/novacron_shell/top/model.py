"""What `top` shows, as values: hosts, VMs, and which of them in which order. No terminal and no I/O."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from novacron.units import format_size
from novacron_shell.repl.sparklines import sparkline

GROUPS = ("", "host", "node", "status", "tag", "folder")
"""What VMs can be grouped by; the empty text is no grouping."""


class HostState(msgspec.Struct, frozen=True, kw_only=True):
    """A host as it was seen last.

    Attributes:
        name: its name.
        error: why it does not answer now; None if it does.
        age_seconds: how old its values are; None if it has never answered.
        cpus, memory_bytes, memory_free_bytes, cpu_percent: its size and use; None if it did not report them.
        vms, running: how many VMs it has.
        history: its CPU use in per cent, oldest first.
    """

    name: str
    error: str | None = None
    age_seconds: float | None = None
    cpus: int | None = None
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_free_bytes: int | None = None
    vms: int = 0
    running: int = 0
    history: tuple[float, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return msgspec.structs.asdict(self)


class VMState(msgspec.Struct, frozen=True, kw_only=True):
    """A VM as it was seen last. Rates are per second; None until there are two measurements.

    Attributes:
        cpus: the average number of busy CPUs.
        history: the same of earlier measurements, oldest first.
        stale: whether its host does not answer now.
    """

    host: str
    id: str
    name: str
    status: str
    node: str | None = None
    folder: str | None = None
    tags: tuple[str, ...] = ()
    vcpus: int = 0
    memory_bytes: int = 0
    cpus: float | None = None
    history: tuple[float, ...] = ()
    disk_read_bytes: float | None = None
    disk_written_bytes: float | None = None
    net_received_bytes: float | None = None
    net_sent_bytes: float | None = None
    stale: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it: host and id."""
        return self.host, self.id

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return msgspec.structs.asdict(self)


class Group(NamedTuple):
    """The line above a group of VMs."""

    title: str
    vms: int
    running: int
    cpus: float
    memory_bytes: int


class Column(NamedTuple):
    """A column of the VMs: its title, width, alignment, its value for sorting, and its text."""

    title: str
    width: int
    right: bool
    value: Callable[[VMState], Any]
    text: Callable[[VMState], str]


def _size(field: str) -> Column:
    def text(vm: VMState) -> str:
        value = getattr(vm, field)
        return "-" if value is None else f"{format_size(int(value))}/s"

    title = {
        "disk_read_bytes": "READ",
        "disk_written_bytes": "WRITTEN",
        "net_received_bytes": "RECEIVED",
        "net_sent_bytes": "SENT",
    }
    return Column(title[field], 11, True, lambda vm: getattr(vm, field) or 0.0, text)


COLUMNS: Mapping[str, Column] = {
    "name": Column("NAME", 24, False, lambda vm: vm.name, lambda vm: vm.name),
    "status": Column("STATUS", 10, False, lambda vm: vm.status, lambda vm: vm.status),
    "host": Column("HOST", 14, False, lambda vm: vm.host, lambda vm: vm.host),
    "node": Column("NODE", 14, False, lambda vm: vm.node or "", lambda vm: vm.node or "-"),
    "cpu": Column("CPU%", 7, True, lambda vm: vm.cpus or 0.0, lambda vm: "-" if vm.cpus is None else f"{100 * vm.cpus:.0f}"),
    "curve": Column("LAST", 12, False, lambda vm: vm.cpus or 0.0, lambda vm: sparkline(vm.history, 12, full=vm.vcpus or 1)),
    "vcpus": Column("VCPUS", 6, True, lambda vm: vm.vcpus, lambda vm: str(vm.vcpus)),
    "memory": Column("MEMORY", 9, True, lambda vm: vm.memory_bytes, lambda vm: format_size(vm.memory_bytes)),
    "read": _size("disk_read_bytes"),
    "written": _size("disk_written_bytes"),
    "received": _size("net_received_bytes"),
    "sent": _size("net_sent_bytes"),
    "tags": Column("TAGS", 16, False, lambda vm: vm.tags, lambda vm: ", ".join(vm.tags) or "-"),
    "folder": Column("FOLDER", 20, False, lambda vm: vm.folder or "", lambda vm: vm.folder or "-"),
}
"""All columns of the VMs, by the names that `--columns` takes."""
DEFAULT_COLUMNS = ("name", "status", "host", "cpu", "curve", "vcpus", "memory", "read", "written", "received", "sent")
NUMBERS = frozenset({"cpu", "curve", "vcpus", "memory", "read", "written", "received", "sent"})
"""Columns that are sorted with the highest value first."""


@dataclass(frozen=True)
class View:
    """What is shown, and how.

    Attributes:
        filter: words that all must hold: `tag:web`, `host:kvm1`, `status:running`, a pattern such as `web-*`, or a part of the name.
        sort: name of a column.
        reverse: whether the order is the other way round.
        group: one of `GROUPS`.
        columns: names of the columns.
    """

    filter: str = ""
    sort: str = "cpu"
    reverse: bool = False
    group: str = ""
    columns: tuple[str, ...] = DEFAULT_COLUMNS

    def sorted_by(self, column: str) -> View:
        """Return the view sorted by a column; by the same column again, in the other order.

        Example:
            >>> View().sorted_by("cpu").reverse, View().sorted_by("name").sort
            (True, 'name')
        """
        return replace(self, sort=column, reverse=not self.reverse if column == self.sort else False)

    def next_group(self) -> View:
        """Return the view with the next way of grouping."""
        return replace(self, group=GROUPS[(GROUPS.index(self.group) + 1) % len(GROUPS)])


def lines(vms: Iterable[VMState], view: View) -> list[VMState | Group]:
    """Return the lines of the table: the VMs that the filter chooses, sorted; with a line above each group.

    Example:
        >>> some = [VMState(host="a", id=str(n), name=f"vm{n}", status="running", cpus=n / 10) for n in range(3)]
        >>> [vm.name for vm in lines(some, View())], [vm.name for vm in lines(some, View(filter="vm1", sort="name"))]
        (['vm2', 'vm1', 'vm0'], ['vm1'])
    """
    value = COLUMNS[view.sort].value
    matches = _matcher(view.filter)
    found = sorted((vm for vm in vms if matches(vm)), key=lambda vm: vm.name)
    found.sort(key=value, reverse=(view.sort in NUMBERS) != view.reverse)
    if not view.group:
        return [*found]
    groups: dict[str, list[VMState]] = {}
    for vm in found:
        for title in _titles(vm, view.group):
            groups.setdefault(title, []).append(vm)
    shown: list[VMState | Group] = []
    for title, members in sorted(groups.items()):
        shown += [_group(title, members), *members]
    return shown


def _titles(vm: VMState, group: str) -> Sequence[str]:
    if group == "tag":
        return vm.tags or ("without tags",)
    return (str(getattr(vm, group) or f"no {group}"),)


def _group(title: str, members: Sequence[VMState]) -> Group:
    running = sum(vm.status == "running" for vm in members)
    return Group(title, len(members), running, sum(vm.cpus or 0.0 for vm in members), sum(vm.memory_bytes for vm in members))


def _matcher(text: str) -> Callable[[VMState], bool]:
    tests = [_test(word.lower()) for word in text.split()]
    return lambda vm: all(test(vm) for test in tests)


def _test(word: str) -> Callable[[VMState], bool]:
    kind, colon, value = word.partition(":")
    if colon and kind == "tag":
        return lambda vm: any(fnmatch.fnmatchcase(tag.lower(), value or "*") for tag in vm.tags)
    if colon and kind in ("host", "status", "node", "folder"):
        return lambda vm: fnmatch.fnmatchcase(str(getattr(vm, kind) or "").lower(), f"{value}*")
    if set(word) & set("*?["):
        return lambda vm: fnmatch.fnmatchcase(vm.name.lower(), word)
    return lambda vm: word in vm.name.lower()


__all__ = ["COLUMNS", "DEFAULT_COLUMNS", "GROUPS", "Group", "HostState", "VMState", "View", "lines"]
