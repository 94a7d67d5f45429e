"""Prints records: tables for people; JSON, NDJSON, YAML and CSV with stable field names for programs; names for shell loops.

Data goes to stdout, messages to stderr. All text of others (names, agent output, errors) passes the filter of `novacron.text`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from novacron.display import cell
from novacron.text import escaped_json, printable, printable_line

STATUS_STYLE = {
    "running": "green",
    "suspended": "yellow",
    "saved": "yellow",
    "stopping": "yellow",
    "stopped": "dim",
    "crashed": "red bold",
    "migrating": "cyan",
    "sleeping": "yellow",
    "unknown": "red",
    "up": "green",
    "down": "red",
    "enabled": "green",
    "broken": "red",
    "failed": "red",
    "done": "green",
    "undone": "yellow",
    "ok": "green",
    "warning": "yellow",
    "problem": "red",
}
FORMATS = ("table", "wide", "json", "ndjson", "yaml", "csv", "name")
PATH = "jsonpath="
"""How an output format begins that selects values by a path; see `novacron_shell.paths`."""
Columns = Mapping[str, str | Callable[[Any], Any]]
"""Heading to a record's field, or to a function of the record."""


class Format(str):
    """The name of an output format, with the columns and the sort key that were asked for."""

    columns: tuple[str, ...] = ()
    sort: str | None = None

    def with_choice(self, columns: Sequence[str] = (), sort: str | None = None) -> Format:
        """Return the same format with columns and a sort key."""
        chosen = Format(self)
        chosen.columns, chosen.sort = tuple(columns), sort
        return chosen


def show_many(records: Iterable[Any], columns: Columns, output: str, *, wide: Columns | None = None) -> None:
    """Print a list of records.

    Args:
        records: the records, in order.
        columns: the columns of a table.
        output: one of `FORMATS`, or a `Format` with columns and a sort key.
        wide: further columns for the format "wide".

    Raises:
        InvalidSpecError: no such column to show or to sort by.
    """
    listed = list(records)
    known = {**columns, **(wide or {})}
    if isinstance(output, Format):
        if output.sort:
            listed = _sorted(listed, known, output.sort)
        if output.columns:
            columns = wide = {name: _column(listed, known, name) for name in output.columns}
    if output in ("table", "wide"):
        _table(listed, known if output == "wide" else columns)
    elif output == "csv":
        _csv(listed, columns)
    elif output == "name":
        for record in listed:
            write(printable_line(str(getattr(record, "name", record))))
    elif isinstance(output, Format) and output.columns:
        _data([{name: _raw(record, of) for name, of in columns.items()} for record in listed], output)
    else:
        _data(listed, output)


def show_one(record: Any, output: str) -> None:
    """Print one record, every field of it."""
    if output == "name":
        write(printable_line(str(getattr(record, "name", record))))
    elif output == "csv":
        _csv([record], {name: name for name in _fields(record)})
    elif output in ("table", "wide"):
        for name, value in _fields(record).items():
            if value not in (None, "", [], {}, (), frozenset()):
                write(f"{name:<22} {printable(cell(name, value))}")
    else:
        _data(record, output)


def show_status(vm: Any, output: str) -> None:
    """Print what a VM's status is now: one line on stderr for people, the record for programs."""
    if output in ("table", "wide"):
        gone = vm.status == "stopped" and getattr(vm.record, "persistent", True) is False
        tell(f"{vm.name} is {vm.status}" + (" and gone: it was transient, without a definition" if gone else ""))
    else:
        show_one(vm.record, output)


def write(text: str, *, end: str = "\n") -> None:
    """Write data to stdout: as it is into a file or pipe; to a terminal as text that can't control it.

    Args:
        text: the data.
        end: what follows it.
    """
    print(printable(text) if sys.stdout.isatty() else text, end=end)


def write_bytes(data: bytes, *, error: bool = False) -> None:
    """Write what a guest said: as it is into a file or pipe; to a terminal as text that can't control it."""
    stream = sys.stderr if error else sys.stdout
    if stream.isatty():
        stream.write(printable(data.decode(errors="replace").replace("\r\n", "\n")))
    else:
        stream.flush()
        stream.buffer.write(data)
    stream.flush()


def tell(text: str) -> None:
    """Print a message for people to stderr."""
    print(printable(text), file=sys.stderr)


def _table(records: Sequence[Any], columns: Columns) -> None:
    headings = list(columns)
    rows = list(zip(*(_texts(records, of) for of in columns.values()), strict=True))
    if sys.stdout.isatty():
        from novacron_shell.tables import styled, table_lines

        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        if not rows:
            print(styled("nothing found", None if plain else "dim"))
            return
        print("\n".join(table_lines(headings, rows, shutil.get_terminal_size().columns, {} if plain else STATUS_STYLE)))
        return
    widths = [max(len(h), *(len(row[i]) for row in rows)) if rows else len(h) for i, h in enumerate(headings)]
    write("\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in ([h.upper() for h in headings], *rows)))


def _csv(records: Sequence[Any], columns: Columns) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for record in records:
        writer.writerow([_csv_value(_raw(record, of)) for of in columns.values()])


def _csv_value(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return "" if value is None else value
    if isinstance(value, (list, tuple, set, frozenset)):
        return printable(" ".join(sorted(map(str, value)) if isinstance(value, (set, frozenset)) else map(str, value)))
    return printable(value.decode(errors="replace") if isinstance(value, bytes) else str(value))


def _column(records: Sequence[Any], known: Columns, name: str) -> str | Callable[[Any], Any]:
    """Return the column of that heading, or of that field of the records."""
    import difflib

    from novacron.errors import InvalidSpecError, SpecProblem, either

    wanted = name.lower().replace("-", " ").replace("_", " ")
    for heading, of in known.items():
        if heading.lower() == wanted:
            return of
    fields = list(_fields(records[0])) if records else []
    field = name.replace("-", "_")
    if not records or field in fields:
        return field
    choices = sorted({*(heading.lower().replace(" ", "-") for heading in known), *fields})
    near = difflib.get_close_matches(field.replace("_", "-"), choices, n=3) or difflib.get_close_matches(field, choices, n=3)
    raise InvalidSpecError(
        "no such column",
        problems=[SpecProblem("columns", name, "one of " + ", ".join(choices))],
        hint=f"did you mean {either(near)}?" if near else None,
    )


def _sorted(records: list[Any], known: Columns, key: str) -> list[Any]:
    of = _column(records, known, key.removeprefix("-"))
    values = [(_raw(record, of), record) for record in records]
    present = [pair for pair in values if pair[0] is not None]
    numbers = all(isinstance(value, (int, float)) for value, _ in present)
    present.sort(key=lambda pair: pair[0] if numbers else str(pair[0]), reverse=key.startswith("-"))
    return [record for _, record in present] + [record for value, record in values if value is None]


def _fields(record: Any) -> dict[str, Any]:
    """Return a record's fields as plain values, bytes as they are."""
    plain: dict[str, Any] = record.as_dict() if hasattr(record, "as_dict") else dict(record)
    return {name: raw if isinstance(raw := getattr(record, name, None), bytes) else value for name, value in plain.items()}


def _raw(record: Any, of: str | Callable[[Any], Any]) -> Any:
    if not isinstance(of, str):
        return of(record)
    return record.get(of) if isinstance(record, Mapping) else getattr(record, of, None)


def _texts(records: Sequence[Any], of: str | Callable[[Any], Any]) -> list[str]:
    """Return the cells of a column. Many records have few values, such as three statuses, and each is written once."""
    name = of if isinstance(of, str) else ""
    written: dict[Any, str] = {}
    texts = []
    for record in records:
        value = _raw(record, of)
        key = (type(value), value) if isinstance(value, (str, int)) else None
        text = written.get(key)
        if text is None:
            text = printable_line(cell(name, value))
            if key is not None:
                written[key] = text
        texts.append(text)
    return texts


def _data(value: Any, output: str) -> None:
    plain = [_plain(v) for v in value] if isinstance(value, list) else _plain(value)
    if output.startswith(PATH):
        from novacron_shell.paths import select_path

        for each in select_path(output.removeprefix(PATH), plain):
            write(printable_line(each) if isinstance(each, str) else _json(each))
        return
    if output == "yaml":
        import yaml

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times quicker, where libyaml is installed
        try:
            text = yaml.dump(plain, Dumper=dumper, sort_keys=False, allow_unicode=True)
        except UnicodeEncodeError:  # libyaml refuses half of a surrogate pair
            text = ""
        if not text or printable(text) != text:
            text = yaml.dump(plain, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=False)
        write(text.rstrip("\n"))
        return
    if output == "ndjson":
        for item in plain if isinstance(plain, list) else [plain]:
            write(_json(item))
    else:
        write(_json(plain, indent=2))


def _json(plain: Any, indent: int = -1) -> str:
    """Return JSON in which a terminal finds no control characters."""
    import msgspec

    try:
        encoded = msgspec.json.encode(plain)
    except UnicodeEncodeError:  # lone surrogates, which stand for bytes that were no UTF-8
        import json

        return escaped_json(json.dumps(plain, indent=indent if indent > 0 else None))
    return escaped_json(msgspec.json.format(encoded, indent=indent).decode())


def _plain(value: Any) -> Any:
    import msgspec

    return value.as_dict() if hasattr(value, "as_dict") else msgspec.to_builtins(value)


__all__ = [
    "FORMATS",
    "PATH",
    "STATUS_STYLE",
    "Columns",
    "Format",
    "cell",
    "show_many",
    "show_one",
    "show_status",
    "tell",
    "write",
    "write_bytes",
]
