"""Colours for terminals with a light and with a dark background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.syntax import Syntax
from rich.theme import Theme

from novacron.text import printable

LIGHT = "novacron.light"
"""Name of a style that only consoles on a light background have."""


class InputColours(NamedTuple):
    """How ptpython colours what is typed.

    Attributes:
        style: the Pygments style.
        darkest, brightest: range of the brightness, from 0 to 1, to which all colours are moved.
    """

    style: str
    darkest: float
    brightest: float


INPUT: Mapping[str, InputColours] = {"light": InputColours("default", 0.0, 0.5), "dark": InputColours("native", 0.5, 1.0)}
OUTPUT = Theme({LIGHT: "not bold", "repr.number": "blue", "repr.str": "dark_green", "table.header": "bold black"})
"""Changes of rich's colours on a light background."""


def use_theme(console: Console, theme: str | None) -> None:
    """Let a console print for a light background if this is the theme."""
    if theme == "light":
        console.push_theme(OUTPUT)


class Code:
    """Highlighted text in the colours of the terminal, readable on the console's background.

    Args:
        text: the text; control characters are shown as escapes.
        lexer: name of the Pygments lexer.
        wrap: whether long lines are wrapped.
    """

    def __init__(self, text: str, lexer: str, *, wrap: bool = False) -> None:
        self._text, self._lexer, self._wrap = printable(text), lexer, wrap

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        light = console.get_style(LIGHT, default="none").bold is False
        theme = "ansi_light" if light else "ansi_dark"
        yield Syntax(self._text, self._lexer, theme=theme, background_color="default", word_wrap=self._wrap)


__all__ = ["INPUT", "Code", "InputColours", "use_theme"]
