"""Commands of native operations: `novacron vsphere folder create PATH`, made from the signatures and docstrings of a driver's methods.

An operation `folder_create` is the command `create` of the group `folder`. An argument without a default is an argument of the command,
any other one an option.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import click

from novacron.hookspecs.operation import Operation
from novacron.plugins.driver import DriverProvider
from novacron_shell.confirm import confirm, yes_option
from novacron_shell.options import Settings, list_options
from novacron_shell.output import cell, show_many, show_one, tell, write
from novacron_shell.progress import follow

COLUMNS = 8
"""Columns of a table of native records."""
OWN = ("settings", "yes")
"""Arguments of the commands themselves. An operation's argument of such a name gets another one within the command."""


@cache
def native_group(provider: DriverProvider) -> click.Group:
    """Return the command group of a driver's native operations. It is made once: the group of vSphere has some 140 commands."""
    from novacron.plugins.native import native_methods

    top = click.Group(provider.schemes[0], help=provider.native)
    for area in provider.areas():
        for operation, method in native_methods(area):
            noun, _, verb = operation.name.partition(".")[2].partition("_")
            group = top.commands.get(noun)
            if not isinstance(group, click.Group):
                group = click.Group(noun)
                top.add_command(group)
            group.add_command(_command(verb.replace("_", "-"), operation, inspect.cleandoc(method.__doc__ or "")))
    for noun, group in top.commands.items():
        group.help = f"Operations of {provider.schemes[0]} {noun}: {', '.join(sorted(getattr(group, 'commands', ())))}."
    return top


def _command(name: str, operation: Operation, text: str) -> click.Command:
    explained = dict(_explained(text))

    def run(settings: Settings, yes: bool = True, **given: Any) -> None:
        given = {key.removesuffix("_"): value for key, value in given.items()}
        with ExitStack() as files:
            arguments = {key: _value(key, operation.types[key], value, files) for key, value in given.items()}
            arguments = {key: value for key, value in arguments.items() if value is not None or key not in operation.defaults}
            named = ", ".join(
                str(arguments[key]) for key in operation.arguments if key in arguments and key not in operation.defaults
            )
            host = settings.host()
            if operation.destroys:
                confirm(f"{operation.name.partition('.')[2].replace('_', ' ')} {named} on {host.name}", yes=yes)
            if operation.long:
                result = follow(host.submit(operation.name, **arguments), f"{name} {named}".rstrip())
            else:
                result = host.invoke(operation.name, **arguments)
        _show(result, settings.output)

    command: Callable[..., Any] = list_options(run)
    if operation.destroys:
        command = yes_option(command)
    for argument in reversed(operation.arguments):
        if argument != "job":
            command = _parameter(argument, operation, explained.get(argument, ""))(command)
    return click.command(name, help=re.split(r"\n(?:Args|Returns|Raises|Example):", text)[0])(command)


def _parameter(name: str, operation: Operation, text: str) -> Callable[..., Any]:
    """Return the argument or option of a command for an argument of an operation."""
    declared = operation.types[name].removesuffix(" | None")
    kind: Any = {"int": int, "float": float}.get(declared)
    if declared.startswith("Literal["):
        kind = click.Choice(ast.literal_eval(f"({declared[8:-1]},)"))
    if declared == "BinaryIO":
        kind = click.Path()
    many = declared.startswith(("tuple[", "dict["))
    metavar = "KEY=VALUE" if declared.startswith("dict[") else None
    held = f"{name}_" if name in OWN else name
    if name not in operation.defaults:
        return click.argument(held, type=kind, nargs=-1 if many else 1, required=True, metavar=metavar)
    option, default = f"--{name.replace('_', '-')}", operation.defaults[name]
    if declared == "bool" and default is False:
        return click.option(option, held, is_flag=True, help=text)
    if declared == "bool":
        return click.option(f"{option}/--no-{name.replace('_', '-')}", held, default=default, help=text)
    return click.option(option, held, type=kind, multiple=many, metavar=metavar, default=None, help=text)


def _explained(text: str) -> Iterator[tuple[str, str]]:
    """Yield each argument that a docstring explains, with its text."""
    _, _, arguments = text.partition("Args:\n")
    block = re.split(r"\n(?:\s*\n|Returns:|Raises:|Example:)", arguments)[0]
    for match in re.finditer(r"^ {4}(\w+): (.+(?:\n {5,}.+)*)", block, re.MULTILINE):
        words = " ".join(match[2].split()).rstrip(".")
        yield match[1], f"{words[:1].upper()}{words[1:]}."


def _value(name: str, declared: str, value: Any, files: ExitStack) -> Any:
    """Return an argument as the operation takes it. A local file is opened, one that is written must not exist."""
    if declared == "BinaryIO":
        from novacron.handles.files import new_file

        return files.enter_context(new_file(value) if name == "target" else Path(value).open("rb"))
    if declared.startswith("dict["):
        wrong = [pair for pair in value or () if "=" not in pair]
        if wrong:
            raise click.UsageError(f"{wrong[0]!r} is not KEY=VALUE")
        return dict(pair.split("=", 1) for pair in value) if value else None
    if declared.startswith("tuple["):
        return tuple(value) or None
    return value


def _show(result: Any, output: str) -> None:
    if isinstance(result, (list, tuple)):
        fields = result[0].as_dict() if result and hasattr(result[0], "as_dict") else {}
        plain = [name for name, value in fields.items() if not isinstance(value, (dict, list))]
        show_many(list(result), {name.replace("_", " "): name for name in (plain or list(fields))[:COLUMNS]}, output)
    elif hasattr(result, "as_dict"):
        show_one(result, output)
    elif isinstance(result, (str, int, float)) and not isinstance(result, bool):
        write(str(result))
    elif isinstance(result, Iterable):
        for record in result:  # a stream, such as events as they happen
            if output in ("table", "wide"):
                write("  ".join(cell(name, value) for name, value in record.as_dict().items() if value))
            else:
                show_many([record], {name: name for name in record.as_dict()}, "ndjson" if output == "json" else output)
    else:
        tell("done")


__all__ = ["native_group"]
