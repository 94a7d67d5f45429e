"""How the shell prints what an expression gives: tables for collections, cards for single things, highlighted XML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from novacron.fleets import Fleet
from novacron.handles.host import HostHandle
from novacron.handles.snapshots import SnapshotCollection, SnapshotHandle
from novacron.handles.vm import VMHandle
from novacron.handles.vms import VMCollection, VMPage
from novacron.records.record import Record
from novacron.records.vm import NativeDefinition
from novacron.text import printable
from novacron.units import format_size
from novacron_shell.output import STATUS_STYLE, cell


def show(result: Any, console: Console) -> bool:
    """Print a result if there is a better way than its repr; return whether there was."""
    drawn = draw(result)
    if drawn is None:
        return False
    console.print(drawn)
    return True


def draw(result: Any) -> Any:
    """Return what rich prints for a result, None for what has no drawing of its own."""
    if isinstance(result, (VMCollection, VMPage)):
        return vm_table(list(result))
    if isinstance(result, SnapshotCollection):
        return snapshot_table([s.record for s in result])
    if isinstance(result, (VMHandle, SnapshotHandle)):
        return card(result.record)
    if isinstance(result, NativeDefinition):
        return Syntax(printable(result.text), "xml", background_color="default")
    if isinstance(result, Record):
        return card(result)
    if isinstance(result, HostHandle):
        return card(result.info())
    if isinstance(result, Fleet):
        return table(("name", "uri"), [(h.name, h.uri) for h in result.list()])
    items = list(result.values()) if isinstance(result, Mapping) else result
    if isinstance(items, (list, tuple)) and items:
        if all(isinstance(i, VMHandle) for i in items):
            return vm_table(list(items))
        if all(isinstance(i, HostHandle) for i in items):
            return table(("name", "uri", "driver"), [(h.name, h.uri, h.driver_name) for h in items])
        if all(isinstance(i, SnapshotHandle) for i in items):
            return snapshot_table([s.record for s in items])
        if all(isinstance(i, Record) for i in items):
            fields = list(items[0].as_dict())[:7]
            return table(fields, [[cell(f, getattr(i, f)) for f in fields] for i in items])
    return None


def vm_table(vms: list[VMHandle]) -> Any:
    """Return a table of VMs."""
    rows = [(v.name, v.status, str(v.record.vcpus), format_size(v.record.memory_bytes), v.host.name) for v in vms]
    return table(("name", "status", "vcpus", "memory", "host"), rows)


def snapshot_table(snapshots: list[Any]) -> Any:
    """Return a table of snapshots."""
    rows = [(("● " if s.current else "  ") + s.name, s.status, s.parent or "-", s.created_at) for s in snapshots]
    return table(("name", "status", "parent", "created"), rows)


def card(record: Record) -> Any:
    """Return all fields of a record that say something."""
    drawn = Table.grid(padding=(0, 2))
    for name, value in record.as_dict().items():
        if value not in (None, "", [], {}):
            drawn.add_row(Text(name, style="bold"), _text(cell(name, value).replace("\n" + " " * 23, "\n")))
    return drawn


def table(headings: Any, rows: Any) -> Any:
    """Return a table, or a word when there are no rows."""
    if not rows:
        return Text("nothing found", style="dim")
    drawn = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        drawn.add_row(*(_text(str(c)) for c in row))
    return drawn


def _text(text: str) -> Text:
    return Text(printable(text), style=STATUS_STYLE.get(text, ""))


__all__ = ["card", "draw", "show", "snapshot_table", "table", "vm_table"]
