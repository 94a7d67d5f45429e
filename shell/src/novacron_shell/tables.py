"""Draws tables at a terminal. A table of rich takes a millisecond for each row, which is too long for 5,000 VMs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

GAP = "  "
"""What stands between two columns."""
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


def table_lines(
    headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, styles: Mapping[str, str]
) -> Iterator[str] | None:
    """Return the lines of a table that fits the width of a terminal. Long cells are folded.

    Args:
        headings: the heading of each column.
        rows: the cells of each row, as text of one line without control characters.
        width: the width of the terminal.
        styles: the style of cells with such a text, one of `CODES`. If it is empty, the headings have no style either.

    Returns:
        The lines. None if the first column alone is as wide as the terminal: it names the row, and is never folded.

    Example:
        >>> rows = [("web1", "running", "the shop"), ("db1", "stopped", "")]
        >>> print(*table_lines(("name", "status", "text"), rows, 20, {}), sep="\\n")
        name  status  text
        web1  runnin  the
              g       shop
        db1   stoppe
              d
    """
    natural = [max(map(_length, column)) for column in zip(headings, *rows, strict=True)]
    widths = _fitted(natural, width - len(GAP) * (len(natural) - 1))
    return None if widths is None else _lines([headings, *rows], widths, styles)


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


def _fitted(natural: Sequence[int], room: int) -> list[int] | None:
    """Return the widths of the columns: the widest ones are reduced until all fit; None if they can't, or the first would have to be."""
    widths = list(natural)
    while (over := sum(widths) - room) > 0:
        others = widths[1:]
        widest = max(others, default=0)
        if widest <= 1:
            return None
        which = [number for number, each in enumerate(widths) if number and each == widest]
        next_widest = max((each for each in others if each < widest), default=1)
        step = min(widest - next_widest, -(-over // len(which)))
        for number in which:
            widths[number] -= step
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
