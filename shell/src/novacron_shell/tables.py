"""Draws tables at a terminal. A table of rich takes a millisecond for each row, which is too long for 5,000 VMs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

GAP = "  "
"""What stands between two columns."""
WORD = 36
"""The longest word of a cell that is never broken; an identifier of a VM is that long."""
EMPTY = ("", "-")
"""Texts of cells that say nothing."""
CODES = {
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "red": "31",
    "red bold": "1;31",
    "dim": "2",
    "bold": "1",
}
"""The numbers by which terminals know the styles of a table."""


def table_lines(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, styles: Mapping[str, str]) -> Iterator[str]:
    """Return the lines of a table that fits the width of a terminal. Long cells are folded between words.

    If the terminal is too narrow for that, each row is a paragraph: the first cell, then the others with their headings.

    Args:
        headings: the heading of each column.
        rows: the cells of each row, as text of one line without control characters.
        width: the width of the terminal.
        styles: the style of cells with such a text, one of `CODES`. If it is empty, the headings have no style either.

    Example:
        >>> rows = [("web1", "running", "the shop"), ("db1", "stopped", "")]
        >>> print(*table_lines(("name", "status", "text"), rows, 20, {}), sep="\\n")
        name  status   text
        web1  running  the
                       shop
        db1   stopped
        >>> print(*table_lines(("name", "status", "text"), rows, 18, {}), sep="\\n")
        web1
          status running
          text the shop
        db1
          status stopped
    """
    room = width - len(GAP) * (len(headings) - 1)
    natural = [max(map(_length, column)) for column in zip(headings, *rows, strict=True)]
    if sum(natural) <= room:
        return _lines([headings, *rows], natural, styles)
    widths = _fitted(natural, [_least(column) for column in zip(headings, *rows, strict=True)], room)
    return _paragraphs(headings, rows, width, styles) if widths is None else _lines([headings, *rows], widths, styles)


def styled(text: str, style: str | None) -> str:
    """Return a text in a style, one of `CODES`."""
    return f"\x1b[{CODES[style]}m{text}\x1b[0m" if style and text else text


def _lines(rows: Sequence[Sequence[str]], widths: Sequence[int], styles: Mapping[str, str]) -> Iterator[str]:
    drawn: dict[tuple[str, int], list[str]] = {}

    def cell(text: str, width: int, style: str | None) -> list[str]:
        return [f"{styled(part, style)}{' ' * (width - _length(part))}" for part in _folded(text, width)]

    for number, row in enumerate(rows):
        cells = []
        for text, width in zip(row, widths, strict=True):
            if number == 0:
                cells.append(cell(text, width, "bold" if styles else None))
            elif text in styles:  # few texts have a style, and many rows have them
                if (text, width) not in drawn:
                    drawn[text, width] = cell(text, width, styles[text])
                cells.append(drawn[text, width])
            else:
                cells.append([text.ljust(width)] if text.isascii() and len(text) <= width else cell(text, width, None))
        for part in range(max(map(len, cells))):
            line = (each[part] if part < len(each) else " " * width for each, width in zip(cells, widths, strict=True))
            yield GAP.join(line).rstrip()


def _paragraphs(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, styles: Mapping[str, str]) -> Iterator[str]:
    """Yield each row as its first cell and, below it, the headings and texts of the other cells that have one."""
    room = max(width - len(GAP), 1)
    for first, *others in rows:
        yield first
        line, length = "", 0
        for heading, text in zip(headings[1:], others, strict=True):
            if text in EMPTY:
                continue
            said = f"{heading} {text}"
            more = _length(said)
            if line and length + len(GAP) + more > room:
                yield GAP + line
                line, length = "", 0
            if more > room:
                yield from (GAP + part for part in _folded(said, room))
                continue
            shown = f"{styled(heading, 'dim')} {styled(text, styles.get(text))}" if styles else said
            line, length = (line + GAP + shown, length + len(GAP) + more) if line else (shown, more)
        if line:
            yield GAP + line


def _least(column: Sequence[str]) -> int:
    """Return the least width of a column: a word is not broken, unless it is longer than `WORD`."""
    return min(max(max(map(_length, text.split(" "))) for text in column), WORD)


def _fitted(natural: Sequence[int], least: Sequence[int], room: int) -> list[int] | None:
    """Return the widths of the columns: the widest ones are reduced until all fit; None if they can't. The first is never reduced."""
    widths = list(natural)
    while sum(widths) > room:
        others = [number for number in range(1, len(widths)) if widths[number] > least[number]]
        if not others:
            return None
        widths[max(others, key=lambda number: widths[number])] -= 1
    return widths


def _folded(text: str, width: int) -> list[str]:
    """Return a text in lines of at most that width, broken at blanks where possible."""
    if _length(text) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if _length(joined) <= width:
            lines[-1] = joined
            continue
        parts = _chopped(word, width)
        lines = [*lines, *parts] if lines[-1] else parts
    return lines


def _chopped(word: str, width: int) -> list[str]:
    """Return a word in parts of at most that width."""
    parts, length = [""], 0
    for character in word:
        more = _length(character)
        if length + more > width and parts[-1]:
            parts.append("")
            length = 0
        parts[-1] += character
        length += more
    return parts


def _length(text: str) -> int:
    """Return how many columns of a terminal a text takes. Some characters, such as Chinese ones, take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


__all__ = ["CODES", "styled", "table_lines"]
