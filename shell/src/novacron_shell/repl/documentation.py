"""`?` and `??`: the documentation and the source of what a name stands for."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from novacron.display import cell
from novacron.errors import InvalidSpecError, SpecProblem
from novacron.meanings import meanings
from novacron.text import printable
from novacron_shell.repl.themes import Code

PLAIN = (str, int, float, bytes, tuple, list, frozenset, dict, type(None))
"""Types of values that say nothing of what they mean. The attribute that has them is documented instead."""
OVERVIEW = """\
hosts, vms            connected hosts and their VMs by name: vms["web1"].start()
fleet()               all registered hosts, workflow runs, schedules
connect(uri)          connect to one more host
steps, flows          the parts of workflows, and ready-made workflows
:COMMAND              any command of the command line: :vm list web*; `:help` lists all
!PROGRAM              a program of the system
NAME?  NAME??         documentation, source
:why                  all of the last error
:jobs                 long operations: wait for one, cancel one
:save FILE            this session as a script
F2 menu, F3 history, F4 vi or emacs keys, Ctrl-R search, Ctrl-D leave"""


def asked(line: str) -> tuple[str, bool] | None:
    """Return the expression that a line asks about and whether for its source; None if it asks nothing.

    Example:
        >>> asked("vms.refresh?"), asked("??flows.patch"), asked("'really?'"), asked("?")
        (('vms.refresh', False), ('flows.patch', True), None, ('', False))
    """
    text = line.strip()
    marks = len(text) - len(text.rstrip("?")) or len(text) - len(text.lstrip("?"))
    subject = text.strip("?").strip()
    return (subject, marks > 1) if marks and "\n" not in text else None


def document(subject: str, names: Mapping[str, Any], *, source: bool = False) -> RenderableType:
    """Return the documentation of what an expression stands for.

    Args:
        subject: a name with attributes and constant keys, such as `vms["web1"].migrate`. Nothing is called.
        names: the names of the session.
        source: show the source too.

    Raises:
        InvalidSpecError: the expression is something else.
        NameError, AttributeError, KeyError: there is no such thing.

    Example:
        >>> from rich.console import Console
        >>> import novacron
        >>> vm = novacron.connect("sim://documented?vms=1").vms["vm-00001"]
        >>> Console().print(document("vm.record.memory_bytes", {"vm": vm}))
        vm.record.memory_bytes is 2 GiB
        Memory in bytes.
    """
    if not subject:
        return Text(OVERVIEW)
    value = _value(subject, names)
    if isinstance(value, PLAIN) and (meaning := _meaning(subject, names)) is not None:
        attribute = subject.rpartition(".")[2]
        return Group(Text(printable(f"{subject} is {cell(attribute, value)}"), style="bold"), Text(printable(meaning)))
    text = _function(value)
    shown: list[RenderableType] = [
        Text(printable(f"{subject}{_signature(text)}"), style="bold"),
        Text(printable(inspect.getdoc(text) or "no documentation")),
    ]
    if source:
        shown.append(_source(text))
    return Group(*shown)


def _value(subject: str, names: Mapping[str, Any]) -> Any:
    problem = SpecProblem("expression", subject, 'names, attributes and keys, such as vms["web1"].start?')
    try:
        tree = ast.parse(subject, mode="eval").body
    except (SyntaxError, ValueError):
        raise InvalidSpecError("can't document that", problems=[problem]) from None
    if not all(isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Load)) for node in ast.walk(tree)):
        raise InvalidSpecError("can't document that", problems=[problem])
    return eval(compile(subject, "<stdin>", "eval"), dict(names))  # noqa: S307 - names, attributes and constant keys only


def _meaning(subject: str, names: Mapping[str, Any]) -> str | None:
    """Return what an attribute with a plain value means; None if the expression is no such attribute."""
    tree = ast.parse(subject, mode="eval").body
    if not isinstance(tree, ast.Attribute):
        return None
    owner = type(_value(ast.unparse(tree.value), names))
    declared = inspect.getattr_static(owner, tree.attr, None)
    described = inspect.getdoc(declared) if isinstance(declared, property) else None
    return meanings(owner).get(tree.attr) or described


def _function(value: Any) -> Any:
    """Return what documents a value: the function of a flow, the class of an object."""
    made_from = getattr(value, "function", None)
    if callable(made_from):
        return made_from
    return value if inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value) else type(value)


def _signature(value: Any) -> str:
    try:
        return str(inspect.signature(value)).replace("-> 'None'", "-> None") if inspect.isroutine(value) else ""
    except (TypeError, ValueError):
        return ""


def _source(value: Any) -> RenderableType:
    try:
        return Code(inspect.getsource(value), "python")
    except (OSError, TypeError):
        return Text("the source is not available", style="dim")


__all__ = ["asked", "document"]
