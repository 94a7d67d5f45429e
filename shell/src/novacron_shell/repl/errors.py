"""Prints errors in the shell: a message and a hint; for a typing error, what was probably meant."""

from __future__ import annotations

import builtins
import difflib
import os
import traceback
from typing import Any

from rich.console import Console
from rich.text import Text

from novacron.errors import NovaCronError, either
from novacron.text import printable


def tell(console: Console, error: NovaCronError) -> None:
    """Print an error of NovaCron: what went wrong, and what to do."""
    console.print(Text.assemble(("error: ", "bold red"), printable(str(error))))
    if error.outcome == "unknown":
        console.print("[yellow]outcome: unknown, it may have happened[/]")
    if error.hint:
        console.print(Text.assemble(("hint: ", "yellow"), printable(error.hint)))


def from_typed_line(error: BaseException) -> bool:
    """Whether an error comes from the typed line itself, and not from code that it called."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename == "<stdin>"


def mistyped(console: Console, error: AttributeError | NameError | KeyError, names: dict[str, Any]) -> None:
    """Print that a name does not exist, and which similar names do."""
    if isinstance(error, KeyError):
        text = f"nothing there is called {error.args[0]!r}" if error.args else "no such key"
    else:
        known = dir(error.obj) if isinstance(error, AttributeError) else [*names, *dir(builtins)]
        near = difflib.get_close_matches(error.name or "", [name for name in known if not name.startswith("_")], n=3)
        text = f"{error}" + (f"; did you mean {either(near)}?" if near else "")
    console.print(Text.assemble(("error: ", "bold red"), printable(text)))


def show_traceback(console: Console, error: BaseException | None) -> None:
    """Print the traceback of an error; with the values of variables if NOVACRON_LOCALS is set."""
    from rich.traceback import Traceback

    if error is None:
        console.print("[dim]no error yet[/]")
        return
    with_locals = bool(os.environ.get("NOVACRON_LOCALS"))
    console.print(Traceback.from_exception(type(error), error, error.__traceback__, show_locals=with_locals))


__all__ = ["from_typed_line", "mistyped", "show_traceback", "tell"]
