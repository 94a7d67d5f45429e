"""Prints errors in the shell: a message and a hint; for a typing error, what was probably meant."""

from __future__ import annotations

import builtins
import difflib
import inspect
import os
import traceback
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from novacron.errors import NovaCronError, either
from novacron.redaction import HIDDEN, is_secret_name, redacted
from novacron.text import printable

if TYPE_CHECKING:
    from rich.pretty import Node


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
    elif isinstance(error, AttributeError) and inspect.isfunction(error.obj):
        text = f"{error.obj.__name__} is a function; did you mean {error.obj.__name__}().{error.name}?"
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
    trace = Traceback.extract(type(error), error, error.__traceback__, show_locals=with_locals)
    for stack in trace.stacks:
        stack.exc_value = printable(redacted(stack.exc_value))
        stack.notes = [printable(redacted(note)) for note in stack.notes or ()]
        for frame in stack.frames:
            for name, node in (frame.locals or {}).items():
                _hide_secrets(name, node)
    console.print(Traceback(trace, show_locals=with_locals))


def _hide_secrets(name: str, node: Node, before: str = "") -> None:
    """Hide secrets and control characters in the value of a variable, and in all that it contains.

    Args:
        name: the name of the variable or the key of the value.
        node: the value.
        before: the value before it in a list: after an option such as "--password" a secret follows.
    """
    if is_secret_name(name) or redacted([before.strip("'"), name]) != [before.strip("'"), name]:
        node.value_repr, node.children = HIDDEN, None
    node.value_repr = printable(redacted(node.value_repr))
    previous = ""
    for child in node.children or ():
        _hide_secrets(child.key_repr, child, previous)
        previous = child.value_repr


__all__ = ["from_typed_line", "mistyped", "show_traceback", "tell"]
