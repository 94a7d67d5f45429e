"""The options that commands share, and fields of specs as arguments."""

from __future__ import annotations

import functools
import io
import json
import re
from collections.abc import Callable
from typing import Any

import click

from novacron_shell.config import read_config
from novacron_shell.context import current_host
from novacron_shell.output import FORMATS, PATH
from novacron_shell.settings import PARTLY, Settings
from novacron_shell.watching import Listing


class DurationType(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic from click 8.4 on
    """A duration such as "90s" or "5m", as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds. Raises InvalidValueError."""
        from novacron.units import parse_duration

        return parse_duration(value)


class AgeType(DurationType):
    """An age with its unit, such as "30d", as seconds. A bare number is rejected: people who type 30 mean days, not seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds. Raises InvalidValueError, or click.BadParameter if the unit is missing."""
        seconds = super().convert(value, param, ctx)
        if isinstance(value, str) and value.strip().replace(".", "", 1).isdigit():
            self.fail(f"{value!r} has no unit; write {value.strip()}d for days, {value.strip()}h for hours", param, ctx)
        return seconds


class SizeType(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A size with its unit, such as "20GiB". A bare number is rejected: people who type 20 rarely mean 20 bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text. Raises click.BadParameter."""
        return size(str(value), param.human_readable_name if param else "size")


class _Text(io.StringIO):
    """The text of a file, and the file's name for errors."""

    name: str


class TextFile(click.File):
    """A file with text in UTF-8, or XML in the encoding that it declares, read as a whole. `-` is standard input."""

    name = "file"

    def __init__(self) -> None:
        super().__init__("rb")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text as an `io.StringIO`. Raises click.BadParameter."""
        from novacron_shell.encodings import decoded

        file = super().convert(value, param, ctx)
        try:
            text = _Text(decoded(file.read()))
        except (UnicodeError, LookupError):
            self.fail(f"{value} is not text in UTF-8, nor in an encoding that it declares", param, ctx)
        text.name = str(value)
        return text


class OutputType(click.Choice):  # type: ignore[type-arg, unused-ignore]
    """An output format, or `jsonpath=PATH`."""

    def __init__(self) -> None:
        super().__init__(FORMATS)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the format. Raises click.BadParameter, and InvalidSpecError for an invalid path."""
        if isinstance(value, str) and value.startswith(PATH):
            from novacron_shell.paths import select_path

            select_path(value.removeprefix(PATH), None)
            return value
        return str(super().convert(value, param, ctx))


AGE, DURATION, SIZE, OUTPUT = AgeType(), DurationType(), SizeType(), OutputType()
SHORTEST = 0.1
"""Seconds between two lists at least."""
SIZE_FIELDS = frozenset({"size", "capacity", "memory", "max_memory", "allocation"})
RATES = "_bytes_per_second"
"""How the names of fields end that are rates of bytes."""
MEMORY = (1024**2, 64 * 1024**4)
"""Memory of a VM in bytes that is plausible on a command line: 1 MiB to 64 TiB."""


def size(text: str, field: str) -> str:
    """Return a size that a person typed, as it is.

    Raises:
        click.BadParameter: It has no unit, or no VM has that much or little memory.

    Text that is no size at all is left to the spec, which reports all bad fields at once.

    Example:
        >>> size("20GiB", "size"), size("0", "size")
        ('20GiB', '0')
    """
    from novacron.errors import InvalidValueError
    from novacron.units import format_size, parse_size

    try:
        amount = parse_size(text)
    except InvalidValueError:
        return text
    if text.strip().replace(".", "", 1).isdigit() and amount:
        raise click.BadParameter(f"{field}: {text} has no unit. Write {text}GiB, {text}MiB, or {text}B for bytes")
    if field.endswith("memory") and not MEMORY[0] <= amount <= MEMORY[1]:
        raise click.BadParameter(f"{field}: {text} is {format_size(amount)}; allowed are 1 MiB to 64 TiB")
    return text


def _with_common_options(timeout: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the common options; `timeout` is the name of the option for hosts."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("-c", "--connect", metavar="URI", help="The host, by URI. Default: $NOVACRON_CONNECT.")
        @click.option("--host", metavar="NAME", help="The host, by its name in the fleet. Default: $NOVACRON_HOST.")
        @click.option(
            "-o",
            "--output",
            type=OUTPUT,
            help="Output format. Default: table. jsonpath=PATH selects values: jsonpath='$[*].name'.",
        )
        @click.option(
            timeout,
            "host_timeout",
            type=DURATION,
            metavar="DURATION",
            envvar="NOVACRON_TIMEOUT",
            help="How long a host may take to answer. Default: 10s for each host of a fleet, 30s for one host.",
        )
        @functools.wraps(command)
        def wrapped(
            *args: Any, connect: str | None, host: str | None, output: str | None, host_timeout: float | None, **kwargs: Any
        ) -> Any:
            context = click.get_current_context()
            for option, value in (("-c/--connect", connect), ("--host", host)):
                if value is not None and not value.strip():  # such as a variable that is not set: another host would be meant
                    raise click.UsageError(f"{option} is empty: it names no host", context)
            settings = Settings(connect, host, output, host_timeout).over(context.obj)
            if isinstance(context.command, click.Group):
                return command(*args, settings=settings, **kwargs)
            settings.complete(read_config(), current_host())
            listing = context.meta.pop("novacron.list", Listing())
            try:
                result = listing.run(settings, lambda: command(*args, settings=settings, **kwargs))
            finally:
                settings.close()
            if settings.unreachable:
                raise click.exceptions.Exit(PARTLY)
            return result

        return wrapped

    return decorate


common_options = _with_common_options("--timeout")
"""Give a command `-c/--connect`, `--host`, `-o/--output` and `--timeout`; it gets them as `settings`.

A command that reached only some of the hosts ends with the exit code `PARTLY`.
"""
common_options_beside_timeout = _with_common_options("--host-timeout")
"""The same for commands that have a `--timeout` of their own."""


def list_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the common options, `--columns` and `--sort`, which `show_many` applies, and `--watch`, which repeats it."""
    inner = common_options(command)

    @click.option("--columns", metavar="NAME,...", help="Columns to show: headings of the table or fields of the record.")
    @click.option("--sort", metavar="NAME", help="Column to sort by. A minus sign sorts in descending order: -memory.")
    @click.option("-w", "--watch", is_flag=True, help="Print the list again and again until Ctrl-C.")
    @click.option("--interval", type=DURATION, default="2s", show_default=True, help="With --watch: the time between two lists.")
    @functools.wraps(inner)
    def wrapped(*args: Any, columns: str | None, sort: str | None, watch: bool, interval: float, **kwargs: Any) -> Any:
        chosen = tuple(name.strip() for name in (columns or "").split(",") if name.strip())
        click.get_current_context().meta["novacron.list"] = Listing(chosen, sort, max(interval, SHORTEST) if watch else None)
        return inner(*args, **kwargs)

    return wrapped


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given: a spec's defaults live in the spec alone."""
    return {name: value for name, value in options.items() if value is not None and value != ()}


def pairs(text: str, main: str | None = None) -> dict[str, Any]:
    """Return "size=20GiB,bus=scsi" as a mapping. A value without a key is that of the field `main`.

    A value in braces or brackets is JSON and ends the text.

    Example:
        >>> pairs("size=20GiB,read_only=true"), pairs("20GiB,bus=scsi", "size")
        ({'size': '20GiB', 'read_only': 'true'}, {'size': '20GiB', 'bus': 'scsi'})
        >>> pairs('display={"type": "vnc", "listen": "none"}')
        {'display': {'type': 'vnc', 'listen': 'none'}}
    """
    found: dict[str, Any] = {}
    first, _, rest = text.partition("=")
    if re.fullmatch(r"[A-Za-z0-9_.-]+", first) and rest.startswith(("{", "[")):
        try:
            return {first.replace("-", "_"): json.loads(rest)}
        except (ValueError, RecursionError) as error:
            raise click.BadParameter(f"{first!r} is no JSON: {error}") from None
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if main and not equals:
            key, equals, value = main, "=", part
        if not equals:
            raise click.BadParameter(f"{part!r} is not KEY=VALUE")
        name = key.strip().rpartition(".")[2].replace("-", "_")
        if value and (name in SIZE_FIELDS or (name.endswith(RATES) and value.strip() != "0")):  # 0 lifts a limit
            size(value, key.strip())
        field, dot, rest = key.strip().partition(".")
        found[field.replace("-", "_") + dot + rest] = value
    return found


def nested(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with dots in their names as what they are a part of; numbers, from 0, are places in a list.

    Example:
        >>> nested({"tpm": "true", "display.type": "spice", "numa.0.vcpus": "0-1", "numa.1.vcpus": "2-3"})
        {'tpm': 'true', 'display': {'type': 'spice'}, 'numa': [{'vcpus': '0-1'}, {'vcpus': '2-3'}]}
    """
    found: dict[str, Any] = {}
    for key, value in fields.items():
        *path, last = key.split(".")
        place = found
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise click.BadParameter(f"{key!r}: {part!r} has a value of its own already")
        place[last] = value
    return {key: _listed(value) for key, value in found.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    within = {key: _listed(each) for key, each in value.items()}
    if [*within] == [str(number) for number in range(len(within))]:
        return [*within.values()]
    return within


def read_fields(file: Any) -> dict[str, Any]:
    """Return the fields that a YAML or JSON file has.

    Raises:
        InvalidSpecError: The file is not valid YAML, or does not hold fields with values.
    """
    from novacron.errors import InvalidSpecError, SpecProblem
    from novacron_shell.yaml_files import load

    name = getattr(file, "name", "file")
    fields = load(file) or {}
    if not isinstance(fields, dict):
        problem = SpecProblem("content", type(fields).__name__, "fields with values, such as memory: 2GiB")
        raise InvalidSpecError(f"can't read {name}", problems=[problem])
    return fields


def spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command a spec's fields as KEY=VALUE arguments and `--file`; it gets them as `fields`."""
    return _with_fields(command, None)


def spec_options_with(main: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator like `spec_options`; an argument without a key is the value of the field `main`."""
    return functools.partial(_with_fields, main=main)


def _with_fields(command: Callable[..., Any], main: str | None) -> Callable[..., Any]:
    @click.argument("given_fields", metavar=f"[{main.upper()}] [KEY=VALUE]..." if main else "[KEY=VALUE]...", nargs=-1)
    @click.option("--file", "file", type=click.File(), help="A YAML or JSON file with the fields; - is stdin.")
    @functools.wraps(command)
    def wrapped(*args: Any, given_fields: tuple[str, ...], file: Any, **kwargs: Any) -> Any:
        fields: dict[str, Any] = {}
        if file:
            fields = read_fields(file)
        for text in given_fields:
            fields |= pairs(text, main)
        return command(*args, fields=fields, **kwargs)

    return wrapped


__all__ = [
    "AGE",
    "DURATION",
    "Settings",
    "common_options",
    "common_options_beside_timeout",
    "given",
    "list_options",
    "nested",
    "pairs",
    "SIZE",
    "read_fields",
    "size",
    "spec_options",
    "spec_options_with",
]
