"""The table of VMs. It draws the lines on the screen only, so that 10,000 VMs cost as much as 50."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from novacron.text import printable_line
from novacron.units import format_size
from novacron_shell.output import STATUS_STYLE
from novacron_shell.top.model import COLUMNS, Group, View, VMState


class VMTable(ScrollView, can_focus=True):
    """A table with a cursor; the header is its first line and always visible."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "jump(0)", "First", show=False),
        Binding("end", "jump(-1)", "Last", show=False),
    ]

    class Chosen(Message):
        """A VM was chosen with Enter or a double click."""

        def __init__(self, vm: VMState) -> None:
            super().__init__()
            self.vm = vm

    class SortAsked(Message):
        """The heading of a column was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    def __init__(self) -> None:
        super().__init__(id="vms")
        self._lines: Sequence[VMState | Group] = ()
        self._view = View()
        self._cursor = 0
        self.marked: set[tuple[str, str]] = set()
        """Host and id of each VM that is marked."""

    @property
    def selected(self) -> VMState | None:
        """The VM under the cursor."""
        line = self._lines[self._cursor] if 0 <= self._cursor < len(self._lines) else None
        return line if isinstance(line, VMState) else None

    def mark(self) -> None:
        """Mark the VM under the cursor, or all of the group; unmark them if they are marked. The cursor goes on to the next."""
        if not 0 <= self._cursor < len(self._lines):
            return
        line, next_line = self._lines[self._cursor], self._cursor + 1
        self._switch(self._lines[next_line : next_line + line.vms] if isinstance(line, Group) else [line])
        self.action_move(line.vms + 1 if isinstance(line, Group) else 1)

    def mark_all(self) -> None:
        """Mark all VMs of the list, or unmark them if all are marked."""
        self._switch(self._lines)

    def unmark(self) -> None:
        """Remove all marks."""
        self.marked.clear()
        self.refresh()

    def _switch(self, lines: Sequence[VMState | Group]) -> None:
        keys = {line.key for line in lines if isinstance(line, VMState)}
        self.marked = self.marked - keys if keys <= self.marked else self.marked | keys
        self.refresh()

    def show(self, lines: Sequence[VMState | Group], view: View) -> None:
        """Show other lines. The cursor stays on its VM."""
        before, on_title = self.selected, bool(self._lines) and self._view.group == view.group
        self._lines, self._view = lines, view
        if before is not None:
            self._cursor = next(
                (number for number, line in enumerate(lines) if isinstance(line, VMState) and line.key == before.key),
                self._cursor,
            )
        self._cursor = max(0, min(self._cursor, len(lines) - 1))
        if before is None and self.selected is None and len(lines) > 1 and not on_title:
            self._cursor += 1  # the first line is the title of a group, where nobody moved the cursor to
        self.virtual_size = Size(sum(COLUMNS[name].width + 1 for name in view.columns), len(lines) + 1)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line at `y` of the screen: the header, a group or a VM."""
        left, top = self.scroll_offset
        if y == 0:
            strip = self._header()
        else:
            number = y - 1 + top
            strip = self._line(self._lines[number], number) if number < len(self._lines) else Strip.blank(self.size.width)
        return strip.crop_extend(left, left + self.size.width, self.rich_style)

    def _header(self) -> Strip:
        segments = []
        for name in self._view.columns:
            column = COLUMNS[name]
            mark = ("▲" if self._view.reverse else "▼") if name == self._view.sort else ""
            segments.append(
                Segment(_fitted(column.title + mark, column.width, column.right) + " ", Style(bold=True, reverse=True))
            )
        return Strip(segments)

    def _line(self, line: VMState | Group, number: int) -> Strip:
        under_cursor = number == self._cursor and self.has_focus
        if isinstance(line, Group):
            vms = f"{line.vms} VM{'s' if line.vms != 1 else ''}, {line.running} running"
            text = f"{line.title}  {vms}, CPU {100 * line.cpus:.0f}%, {format_size(line.memory_bytes)}"
            return Strip([Segment(printable_line(text), Style(bold=True, color="cyan", reverse=under_cursor))])
        segments = []
        marked = line.key in self.marked
        for place, name in enumerate(self._view.columns):
            column = COLUMNS[name]
            style = Style(dim=line.stale, reverse=under_cursor, bold=marked)
            text = ("* " if marked and not place else "") + printable_line(column.text(line))
            if name == "status" and not line.stale:
                style += Style.parse(STATUS_STYLE.get(line.status, "none"))
            elif name == "curve" and not under_cursor:
                style += Style(color="cyan")
            segments.append(Segment(_fitted(text, column.width, column.right) + " ", style))
        return Strip(segments)

    def action_move(self, by: int) -> None:
        """Move the cursor by a number of lines."""
        self.action_jump(max(0, min(self._cursor + by, len(self._lines) - 1)))

    def action_page(self, by: int) -> None:
        """Move the cursor by a page."""
        self.action_move(by * max(1, self.size.height - 2))

    def action_jump(self, to: int) -> None:
        """Move the cursor to a line; -1 is the last one."""
        self._cursor = len(self._lines) - 1 if to < 0 else to
        self.scroll_to_region(Region(self.scroll_offset.x, self._cursor, 1, 2), animate=False, force=True)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Move the cursor; sort by a heading; open a VM with a double click."""
        if event.y == 0:
            at = event.x + self.scroll_offset.x
            for name in self._view.columns:
                at -= COLUMNS[name].width + 1
                if at < 0:
                    self.post_message(self.SortAsked(name))
                    return
            return
        number = event.y - 1 + self.scroll_offset.y
        if number < len(self._lines):
            self._cursor = number
            self.refresh()
            if event.chain == 2 and self.selected is not None:
                self.post_message(self.Chosen(self.selected))

    def key_enter(self) -> None:
        """Open the VM under the cursor."""
        if self.selected is not None:
            self.post_message(self.Chosen(self.selected))


def _fitted(text: str, width: int, right: bool) -> str:
    """Return text in a given number of cells of the terminal; wide characters take two.

    Example:
        >>> _fitted("web1", 6, False), _fitted("12", 4, True), _fitted("a-long-name", 6, False), _fitted("名前", 6, False)
        ('web1  ', '  12', 'a-lon…', '名前  ')
    """
    from rich.cells import cell_len, set_cell_size

    length = cell_len(text)
    if length > width:
        return set_cell_size(set_cell_size(text, width - 1).rstrip("\0") + "…", width)
    return " " * (width - length) + text if right else text + " " * (width - length)


__all__ = ["VMTable"]
