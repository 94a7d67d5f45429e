"""`novacron call`: any operation of the driver contract by its name, also those without a command of their own."""

from __future__ import annotations

import json
from typing import Any

import click

from novacron_shell.options import Settings, common_options
from novacron_shell.output import Columns, show_many, show_one


@click.command("call")
@click.argument("operation", required=False)
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@common_options
def call(settings: Settings, operation: str | None, arguments: tuple[str, ...]) -> None:
    """Call an OPERATION of the driver contract. Values are JSON or plain text. Without OPERATION all are listed.

    Example: novacron call disk_resize vm=web1 disk=vda size=21474836480
    """
    from novacron.plugins.validation import operations

    if operation is None:
        columns: Columns = {
            "operation": "name",
            "area": "area",
            "arguments": lambda o: " ".join(o.arguments),
            "what it does": "summary",
        }
        show_many(operations().values(), columns, settings.output if settings.output == "name" else "table")
        return
    given: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise click.UsageError(f"{argument!r} is not NAME=VALUE")
        given[name] = _value(text)
    host = settings.host()
    known = operations().get(operation)
    if known is not None:
        wanted = [a for a in known.arguments if a != "job"]
        if missing := [a for a in wanted if a not in given]:
            raise click.UsageError(f"{operation} needs {', '.join(f'{a}=...' for a in missing)}")
        if unknown := [a for a in given if a not in wanted]:
            raise click.UsageError(f"{operation} has no {', '.join(unknown)}; it has {', '.join(wanted)}")
        given = {name: _spec(operation, name, value) for name, value in given.items()}
    result = host.invoke(operation, **given)
    if isinstance(result, (list, tuple)):
        fields = result[0].as_dict() if result else {}
        show_many(result, {name: name for name in list(fields)[:7]}, settings.output)
    elif hasattr(result, "as_dict"):
        show_one(result, settings.output)
    else:
        click.echo(str(result))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _spec(operation: str, name: str, value: Any) -> Any:
    """Turn a mapping into the spec that the operation's hook declares for the argument."""
    from novacron.plugins.validation import argument_spec

    spec = argument_spec(operation, name) if isinstance(value, dict) else None
    return value if spec is None else spec.parse(value)


COMMANDS = {"call": call}
