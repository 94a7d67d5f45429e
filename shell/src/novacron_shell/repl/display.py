"""How the shell shows a value: tables for collections, cards for single things, trees, highlighted text. Never an object's address."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from novacron.display import cell, fields_of, heading, rows_of
from novacron.errors import NovaCronError
from novacron.text import printable
from novacron_shell.output import STATUS_STYLE

MANY = 500
"""Rows of a table that is drawn in a simpler way, because it is long."""
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
EMPTY: tuple[Any, ...] = (None, "", (), [], {}, frozenset())
Drawer = Callable[[Any], RenderableType | None]


class Displays:
    """Draws values: those of `own` first (plugins add to it), then those that NovaCron knows.

    Example:
        >>> import novacron
        >>> Displays().draw([novacron.connect("sim://drawn?vms=1").vms["vm-00001"]]).row_count
        1
    """

    def __init__(self) -> None:
        self.own: dict[type, Drawer] = {}

    def draw(self, value: Any) -> RenderableType | None:
        """Return what rich prints for a value; None if its repr is best."""
        for kind in type(value).__mro__:
            if kind in self.own and (drawn := self.own[kind](value)) is not None:
                return drawn
        for kind in type(value).__mro__:
            if kind.__module__.startswith("novacron") and (drawer := _drawers().get(kind.__qualname__)) is not None:
                return drawer(value)
        return _by_shape(value)

    def drawn(self, value: Any) -> RenderableType:
        """Return what rich prints for a value; its repr, without addresses of objects, if it has no display."""
        drawn = self.draw(value)
        return Text(printable(without_address(repr(value)))) if drawn is None else drawn

    def show(self, value: Any, console: Console) -> None:
        """Print a value; what is longer than the terminal goes through a pager with search."""
        drawn = self.drawn(value)
        if not console.is_terminal or _few(value):
            console.print(drawn)
            return
        with console.capture() as captured:
            console.print(drawn)
        text = captured.get()
        if text.count("\n") < console.height:
            console.file.write(text)
        else:
            import click

            # True would say that the pager shows colours as it is; None lets click give `less` its option for them, or strip them
            click.echo_via_pager(text, color=None if console.color_system is not None else False)


def _drawers() -> Mapping[str, Drawer]:
    from novacron_shell.repl.drawings import DRAWERS

    return DRAWERS


def _few(value: Any) -> bool:
    """Whether a value can't be longer than a screen, so that nothing has to be counted."""
    return isinstance(value, (int, float, bool))


def without_address(text: str) -> str:
    """Return a repr without the addresses of objects.

    Example:
        >>> without_address("<Thing object at 0x7f2a>")
        '<Thing object>'
    """
    return ADDRESS.sub("", text)


def _by_shape(value: Any) -> RenderableType | None:
    """Draw what no drawer is for: handles by their record, records as cards, collections of those as tables."""
    if isinstance(value, BaseException):
        return error_line(value)
    if is_record(value):
        return card(value)
    ours = type(value).__module__.startswith("novacron")
    if isinstance(value, Mapping):
        values = list(value.values())
        return records_table(values) if ours or (values and _alike(values)) else None
    if ours and isinstance(value, Iterable):
        return records_table(list(value))
    if isinstance(value, (list, tuple)) and value and _alike(value):
        drawer: Any = _drawers().get(f"list of {type(value[0]).__name__}", records_table)
        drawn: RenderableType = drawer(value)
        return drawn
    if isinstance(value, (list, tuple)) and any(isinstance(each, BaseException) or is_record(each) for each in value):
        return outcomes(value)
    return None


def is_record(value: Any) -> bool:
    """Whether a value is a record, or a handle that holds one."""
    return isinstance(value, msgspec.Struct) or isinstance(getattr(value, "record", None), msgspec.Struct)


def _alike(values: Sequence[Any]) -> bool:
    return all(is_record(each) for each in values) and len({type(each) for each in values}) == 1


def records_table(records: Sequence[Any]) -> RenderableType:
    """Return a table of records, or of handles, of one kind."""
    if not records:
        return Text("nothing found", style="dim")
    if not _alike(records):
        return outcomes(records)
    return table(*rows_of(records))


def outcomes(values: Sequence[Any]) -> RenderableType:
    """Return one line for each of several results, of which some are errors."""
    return table(("", "result"), [(str(number), _line(value)) for number, value in enumerate(values)])


def _line(value: Any) -> str:
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return without_address(repr(value)) if not isinstance(value, msgspec.Struct) else cell("", value)


def error_line(error: BaseException) -> RenderableType:
    """Return an error as one line, and its hint."""
    parts: list[Any] = [(type(error).__name__, "bold red"), f": {printable(str(error))}"]
    if isinstance(error, NovaCronError) and error.hint:
        parts += [("\nhint: ", "yellow"), printable(error.hint)]
    return Text.assemble(*parts)


def card(record: Any, *, without: Sequence[str] = ()) -> Table:
    """Return all fields of a record that say something, but for those `without`; lists of records within it are tables."""
    drawn = Table.grid(padding=(0, 2))
    for name, value in fields_of(record).items():
        if value not in EMPTY and name not in without:
            drawn.add_row(Text(name, style="bold"), _value(name, value))
    return drawn


def _value(name: str, value: Any) -> RenderableType:
    if isinstance(value, msgspec.Struct):
        return card(value)
    if isinstance(value, (list, tuple)) and value and _alike(value):
        return records_table(value)
    if isinstance(value, Mapping) and any(isinstance(each, (Mapping, list, tuple)) for each in value.values()):
        inner = Table.grid(padding=(0, 2))
        for key, each in value.items():
            inner.add_row(Text(printable(str(key)), style="bold"), _value(str(key), each))
        return inner
    return _text(cell(name, value).replace("\n" + " " * 23, "\n"))


def table(headings: Iterable[str], rows: Iterable[Sequence[str]]) -> RenderableType:
    """Return a table, or a word when there are no rows. All texts are filtered."""
    listed = list(rows)
    if not listed:
        return Text("nothing found", style="dim")
    if len(listed) > MANY:
        return LongTable([heading(name) for name in headings], listed)
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for number, name in enumerate(headings):  # the first column says which one it is: it is never cut
        drawn.add_column(heading(name), no_wrap=number == 0, overflow="fold")
    for row in listed:
        drawn.add_row(*(_text(text.replace("\n" + " " * 23, "\n")) for text in row))
    return drawn


class LongTable:
    """A table with one line for each row, cut at the edge of the terminal. A table of rich takes a millisecond for each row.

    Args:
        headings: the headings.
        rows: the texts of each row.
    """

    def __init__(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._headings = headings
        self._rows = [[printable(text).replace("\n", " ") for text in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = [max(map(cell_len, column)) for column in zip(self._headings, *self._rows, strict=True)]
        styles = {text: console.get_style(style) for text, style in STATUS_STYLE.items()}
        bold = console.get_style("table.header")
        for row in (self._headings, *self._rows):
            for text, width in zip(row, widths, strict=True):
                yield Segment(f"{text}{' ' * (width - cell_len(text))}  ", bold if row is self._headings else styles.get(text))
            yield Segment.line()


def _text(text: str) -> Text:
    return Text(printable(text), style=STATUS_STYLE.get(text, ""))


__all__ = [
    "Displays",
    "LongTable",
    "card",
    "error_line",
    "is_record",
    "outcomes",
    "records_table",
    "table",
    "without_address",
]
