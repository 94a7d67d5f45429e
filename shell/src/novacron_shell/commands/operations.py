"""`novacron call`: any operation of the driver contract by its name, also those without a command of their own."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from novacron_shell.options import Settings, list_options
from novacron_shell.output import Columns, show_many, show_one, write, write_bytes

SECRET = frozenset({"password", "secret", "passphrase", "token", "key_data"})
"""Arguments whose value must not stand on a command line: every user of the machine can read those."""
OTHER_COMMANDS = {
    "console_open": "novacron console NAME",
    "console_screenshot": "novacron screenshot NAME FILE",
    "event_subscribe": "novacron events -f",
    "volume_upload": "novacron volume upload",
    "volume_download": "novacron volume download",
    "appliance_export": "novacron vm export-appliance",
    "appliance_import": "novacron vm import-appliance",
    "vm_migrate": "novacron migrate",
    "migration_check": "novacron migrate --check",
}
"""Operations whose arguments or result are open objects, and the command that does it."""


@click.command("call")
@click.argument("operation", required=False)
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@list_options
def call(settings: Settings, operation: str | None, arguments: tuple[str, ...]) -> None:
    """Call an OPERATION of the driver contract. Without OPERATION all are listed.

    Values are JSON or plain text. NAME=@FILE reads the value from a file, NAME=@- from standard input. A password is prompted
    for when it is not given, and is rejected on the command line, where other users can see it.

    Example: novacron call disk_resize vm=web1 disk=vda size=21474836480
    """
    from novacron.plugins.validation import operations

    if operation is None:
        columns: Columns = {"operation": "name", "area": "area", "arguments": "arguments", "what it does": "summary"}
        show_many([_Described(o) for o in operations().values()], columns, settings.output)
        return
    if operation in OTHER_COMMANDS:
        raise click.UsageError(f"{operation} needs open files or connections; use `{OTHER_COMMANDS[operation]}`")
    given = dict(_argument(text) for text in arguments)
    known = operations().get(operation)
    if known is not None:
        wanted = [a for a in known.arguments if a != "job"]
        given |= {a: _prompted(a) for a in wanted if a in SECRET and a not in given}
        if missing := [a for a in wanted if a not in given]:
            raise click.UsageError(f"{operation} needs {', '.join(f'{a}=...' for a in missing)}")
        if unknown := [a for a in given if a not in wanted]:
            raise click.UsageError(f"{operation} has no {', '.join(unknown)}; it has {', '.join(wanted)}")
        given = {name: _spec(operation, name, value) for name, value in given.items()}
    _show(settings, settings.host().invoke(operation, **given))


class _Described:
    """An operation as a row of the listing."""

    def __init__(self, operation: Any) -> None:
        self.name, self.area, self.summary = operation.name, operation.area, operation.summary
        self.arguments = " ".join(operation.arguments)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"name": self.name, "area": self.area, "arguments": self.arguments.split(), "summary": self.summary}


def _show(settings: Settings, result: Any) -> None:
    if isinstance(result, (list, tuple)) or (hasattr(result, "items") and hasattr(result, "total")):
        records: Sequence[Any] = list(result)
        fields = records[0].as_dict() if records and hasattr(records[0], "as_dict") else {}
        show_many(records, {name: name for name in list(fields)[:7]}, settings.output)
    elif hasattr(result, "as_dict"):
        show_one(result, settings.output)
    elif isinstance(result, bytes):
        write_bytes(result)
    elif isinstance(result, (str, int, float, bool)):
        write(str(result))
    else:
        raise click.UsageError(f"the result is an open {type(result).__name__}, which can't be printed")


def _argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"{text!r} is not NAME=VALUE")
    if value.startswith("@"):
        return name, _from_file(value[1:])
    if name in SECRET:
        raise click.UsageError(
            f"{name} must not stand on the command line, where other users can see it: leave it out to be asked, "
            f"or give {name}=@FILE or {name}=@- (standard input)"
        )
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def _from_file(file: str) -> str:
    """Return the text of a file or of standard input, without its last newline."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"can't read {file}: {error}") from None
    return text.removesuffix("\n")


def _prompted(name: str) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{name} is missing: give {name}=@FILE or {name}=@- (standard input)")
    secret: str = click.prompt(name, hide_input=True, confirmation_prompt=True, err=True)
    return secret


def _spec(operation: str, name: str, value: Any) -> Any:
    """Turn a mapping into the spec that the operation's hook declares for the argument."""
    from novacron.plugins.validation import argument_spec

    spec = argument_spec(operation, name) if isinstance(value, dict) else None
    return value if spec is None else spec.parse(value)


COMMANDS = {"call": call}
