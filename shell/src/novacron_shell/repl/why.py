"""The whole chain of an error: each cause with the host, the operation and the hypervisor's own words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from novacron.errors import NovaCronError
from novacron.text import printable

LIMIT = 20
"""Causes that are shown at most."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, each once."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen and len(seen) < LIMIT:
        yield found
        seen.add(id(found))
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def chain(error: BaseException) -> RenderableType:
    """Return the tree of an error and its causes.

    Example:
        >>> from rich.console import Console
        >>> from novacron.errors import BusyError
        >>> Console(width=60, color_system=None).print(chain(BusyError("web1 is in use", host="kvm1", hint="wait")))
        BusyError: web1 is in use on kvm1
        └── host: kvm1
        hint: wait
    """
    tree: Tree | None = None
    branch: Any = None
    for number, each in enumerate(causes(error)):
        title = Text.assemble((type(each).__name__, "bold red" if not number else "bold yellow"), f": {printable(str(each))}")
        if number:
            title = Text.assemble(("caused by ", "dim"), title)
        if tree is None:
            branch = tree = Tree(title)
        else:
            branch = branch.add(title)
        for name, value in _facts(each):
            branch.add(Text.assemble((f"{name}: ", "bold"), printable(value)))
    hint = getattr(error, "hint", None)
    parts: list[RenderableType] = [tree] if tree else []
    return Group(*parts, Text.assemble(("hint: ", "yellow"), printable(hint))) if hint else Group(*parts)


def _facts(error: BaseException) -> Iterator[tuple[str, str]]:
    if isinstance(error, NovaCronError):
        for name in ("operation", "host", "resource"):
            if value := getattr(error, name):
                yield name, str(value)
        if error.outcome != "failed":
            yield "outcome", error.outcome
        for problem in getattr(error, "problems", ()):
            yield "problem", str(problem)
        for failure in getattr(error, "failures", ()):
            yield "failed check", str(failure)
        for name, value in error.details.items():
            yield name.replace("_", " "), str(value)
    for note in getattr(error, "__notes__", ()):
        yield "note", note
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None and not isinstance(error, NovaCronError):
        yield "raised in", f"{trace.tb_frame.f_code.co_qualname}, line {trace.tb_lineno}"


__all__ = ["causes", "chain"]
