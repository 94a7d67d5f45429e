"""Prints records: tables for people, JSON and YAML with stable field names for programs, names for shell loops. Data goes to stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from novacron.units import format_duration, format_size

STATUS_STYLE = {
    "running": "green", "suspended": "yellow", "saved": "yellow", "stopping": "yellow", "stopped": "dim", "crashed": "red bold",
    "migrating": "cyan", "sleeping": "yellow", "unknown": "red", "up": "green", "down": "red", "enabled": "green", "broken": "red",
    "failed": "red", "done": "green", "undone": "yellow",
}  # fmt: skip
Columns = Mapping[str, str | Callable[[Any], Any]]
"""Heading to a record's field, or to a function of the record."""


def show_many(records: Iterable[Any], columns: Columns, output: str) -> None:
    """Print a list of records."""
    found = list(records)
    if output == "table":
        _table(found, columns)
    elif output == "name":
        for record in found:
            print(record.name)
    else:
        _data(found, output)


def show_one(record: Any, output: str) -> None:
    """Print one record, every field of it."""
    if output == "name":
        print(getattr(record, "name", record))
    elif output == "table":
        for name, value in record.as_dict().items():
            if value not in (None, "", [], {}):
                print(f"{name:<22} {cell(name, value)}")
    else:
        _data(record, output)


def cell(name: str, value: Any) -> str:
    """Return a value for people: sizes and times by their field's unit, lists joined."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_bytes") and isinstance(value, (int, float)):
        return format_size(value)
    if name.endswith("_seconds") and isinstance(value, (int, float)):
        return format_duration(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={cell(str(key), item)}" for key, item in value.items()) or "-"
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        between = "\n" + " " * 23 if any(isinstance(i, Mapping) for i in items) else ", "
        return between.join(_short(item) for item in items) or "-"
    return str(value)


def _short(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    return ", ".join(f"{k}={cell(str(k), v)}" for k, v in item.items() if v not in (None, "", [], {}, False))


def _table(records: Sequence[Any], columns: Columns) -> None:
    headings = list(columns)
    rows = [[_value(record, of) for of in columns.values()] for record in records]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*headings, box=None, header_style="bold", pad_edge=False)
        for row in rows:
            table.add_row(*(Text(text, style=STATUS_STYLE.get(text, "")) for text in row))
        Console().print(table if rows else Text("nothing there", style="dim"))
        return
    widths = [max(len(h), *(len(row[i]) for row in rows)) if rows else len(h) for i, h in enumerate(headings)]
    for line in ([h.upper() for h in headings], *rows):
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _value(record: Any, of: str | Callable[[Any], Any]) -> str:
    return cell(of, getattr(record, of)) if isinstance(of, str) else cell("", of(record))


def _data(value: Any, output: str) -> None:
    plain = [_plain(v) for v in value] if isinstance(value, list) else _plain(value)
    if output == "yaml":
        import yaml

        print(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), end="")
        return
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n")


def _plain(value: Any) -> Any:
    return value.as_dict() if hasattr(value, "as_dict") else value


def show_status(vm: Any, output: str) -> None:
    """Print what a VM's status is now: one line on stderr for people, the record for programs."""
    if output == "table":
        tell(f"{vm.name} is {vm.status}")
    else:
        show_one(vm.record, output)


def tell(text: str) -> None:
    """Say something to people, on stderr."""
    print(text, file=sys.stderr)


__all__ = ["STATUS_STYLE", "Columns", "cell", "show_many", "show_one", "show_status", "tell"]
