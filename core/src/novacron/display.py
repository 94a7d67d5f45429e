"""How values are written for people: fields as text with units, records as tables and cards, in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from novacron.text import printable
from novacron.units import format_duration, format_size

COLUMNS: Mapping[str, str] = {
    "VM": "name status vcpus memory_bytes host",
    "Disk": "target device bus format size_bytes allocated_bytes source",
    "NIC": "mac network model link_up addresses vlan filter",
    "CapacityForecast": "scope name resource used size full_p50 full_p95 method problem",
    "Checkpoint": "name created_at broken disks parent",
    "CPUBaseline": "model features vendor nodes",
    "Expiration": "name kind expires_at host",
    "Snapshot": "name status parent created_at memory kind size_bytes",
    "StoragePool": "name type active capacity_bytes available_bytes path host",
    "Volume": "name format capacity_bytes allocated_bytes backing pool host",
    "Network": "name type active bridge cidrs domain host",
    "TrafficFilter": "name default anti_spoofing rules host",
    "Template": "name version disks tags created_at host",
    "Image": "name format capacity_bytes title user signed pool host",
    "Event": "at host kind resource status reason",
    "HostStats": "host cpus cpu_percent memory_bytes memory_free_bytes vms_total vms_running",
    "VMRates": "vm cpus disk_read_bytes disk_written_bytes net_received_bytes net_sent_bytes host",
    "VMUsage": "at cpus memory_used_bytes disk_read_bytes disk_written_bytes net_received_bytes net_sent_bytes",
    "VMMetrics": "vm cpu_seconds vcpus memory_bytes memory_used_bytes disk_read_bytes disk_written_bytes host",
    "RunRecord": "id name status vms created_at ended_at actor",
    "Schedule": "name cron timezone words paused problem",
    "HostDevice": "kind address id vendor product driver vms node host",
    "Finding": "check status subject message hint",
    "Question": "vm host text choices default",
}
"""The columns of a table of records, by the record's class. Other records show their first fields."""
MOST_COLUMNS = 7
"""Columns of a table whose record has no entry in `COLUMNS`."""


def cell(name: str, value: Any) -> str:
    """Return a value for people: sizes and durations by their field's unit, bytes as text, lists joined.

    Args:
        name: the field's name; its ending is the unit.
        value: the value.

    Example:
        >>> cell("memory_bytes", 2**31), cell("active", True), cell("stdout", b"hello"), cell("tags", frozenset({"b", "a"}))
        ('2 GiB', 'yes', 'hello', 'a, b')
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return _number(name, value)
    if isinstance(value, bytes):
        return value.decode(errors="replace") or "-"
    if isinstance(value, msgspec.Struct):
        return _short(fields_of(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={cell(str(key), item)}" for key, item in value.items()) or "-"
    if isinstance(value, (list, tuple, set, frozenset)):
        return _listed(name, value)
    return str(value)


def _number(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return format_size(int(value))
    if name.endswith("_bytes_per_second"):
        return f"{format_size(int(value))}/s"
    if name.endswith("_seconds"):
        return format_duration(value)
    if name.endswith("_at") and value > 1e8:
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(name: str, value: Iterable[Any]) -> str:
    items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
    between = "\n" + " " * 23 if any(isinstance(item, (Mapping, msgspec.Struct)) for item in items) else ", "
    return between.join(_short(item) for item in items) or "-"


def _short(item: Any) -> str:
    if isinstance(item, msgspec.Struct):
        item = fields_of(item)
    if isinstance(item, (list, tuple)):
        return "-".join(map(str, item))
    if not isinstance(item, Mapping):
        return item.decode(errors="replace") if isinstance(item, bytes) else str(item)
    return ", ".join(f"{k}={cell(str(k), v)}" for k, v in item.items() if v not in (None, "", [], {}, (), frozenset(), False))


def fields_of(record: Any) -> dict[str, Any]:
    """Return the fields of a record, or of the record that a handle holds, as they are.

    Example:
        >>> from novacron.records import Ping
        >>> fields_of(Ping(host="kvm1", latency_seconds=0.01, version="9.0"))
        {'host': 'kvm1', 'latency_seconds': 0.01, 'version': '9.0'}
    """
    found = getattr(record, "record", record)
    return {name: getattr(found, name) for name in found.__struct_fields__}


def columns_of(record: Any) -> list[str]:
    """Return the columns of a table of such records.

    Example:
        >>> from novacron.records import Ping
        >>> columns_of(Ping(host="kvm1", latency_seconds=0.01, version="9.0"))
        ['host', 'latency_seconds', 'version']
    """
    found = getattr(record, "record", record)
    known = COLUMNS.get(type(found).__name__)
    if known is not None:
        return known.split()
    return [name for name in found.__struct_fields__ if name != "native"][:MOST_COLUMNS]


def heading(name: str) -> str:
    """Return a field's name as the heading of a column: the unit is in the cells.

    Example:
        >>> heading("memory_bytes"), heading("created_at")
        ('memory', 'created')
    """
    for unit in ("_bytes", "_seconds", "_at"):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def rows_of(records: Sequence[Any]) -> tuple[list[str], list[list[str]]]:
    """Return the headings and rows of a table of records of one kind, or of handles of one kind."""
    names = columns_of(records[0])
    found = [getattr(record, "record", record) for record in records]
    return [heading(name) for name in names], [[cell(name, getattr(record, name)) for name in names] for record in found]


def html_card(record: Any) -> str:
    """Return the fields of a record that have a value as an HTML table, for notebooks. Texts are escaped."""
    empty: tuple[Any, ...] = (None, "", (), [], {}, frozenset())
    rows = [
        f"<tr><th>{_html(name)}</th><td>{_html(cell(name, value))}</td></tr>"
        for name, value in fields_of(record).items()
        if value not in empty
    ]
    return f"<table>{''.join(rows)}</table>"


def html_table(records: Iterable[Any]) -> str:
    """Return records as an HTML table, for notebooks. Texts are escaped.

    Example:
        >>> from novacron.records import Ping
        >>> html_table([Ping(host="<kvm1>", latency_seconds=0.01, version="9.0")])[-79:]
        '<tbody><tr><td>&lt;kvm1&gt;</td><td>10 ms</td><td>9.0</td></tr></tbody></table>'
    """
    listed = list(records)
    if not listed:
        return "<em>nothing found</em>"
    headings, rows = rows_of(listed)
    head = "".join(f"<th>{_html(name)}</th>" for name in headings)
    body = "".join("<tr>" + "".join(f"<td>{_html(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html(text: str) -> str:
    import html

    return html.escape(printable(text)).replace("\n", "<br>")


__all__ = ["COLUMNS", "cell", "columns_of", "fields_of", "heading", "html_card", "html_table", "rows_of"]
