"""`novacron explain`: what specs, records, their fields and the operations of drivers mean."""

from __future__ import annotations

import difflib
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from novacron_shell.output import write

if TYPE_CHECKING:
    from novacron.hookspecs.operation import Operation
    from novacron.specs.describing import FieldDescription

FULL = 4
"""Up to this many fields of the same name are explained in full."""
WIDEST = 110


@click.command("explain")
@click.argument("names", nargs=-1, metavar="[NAME]")
def explain(names: tuple[str, ...]) -> None:
    """Explain a spec, a record, one of their fields, or an operation.

    \b
    novacron explain                  list all specs and records
    novacron explain VMSpec           all fields of a spec; "vm" means the same
    novacron explain VMSpec.memory    one field: meaning, values, default, drivers, option, example
    novacron explain memory           the field of this name in all specs and records
    novacron explain disks.cache      a field within a field
    novacron explain vm.create        an operation

    A spec is what you give to NovaCron, a record is what it returns.
    """
    name = ".".join(names).lstrip("-")
    if not name:
        _list()
    elif "_" in name and (operation := _operation(name)):  # vm_update is the operation, vm.update and VMUpdate may be a spec
        _explain_operation(operation)
    elif cls := _class(name):
        _explain_class(cls)
    elif fields := _fields(name):
        _explain_fields(fields)
    elif operation := _operation(name):
        _explain_operation(operation)
    else:
        raise click.BadParameter(f"no spec, record, field or operation {name!r}{_meant(name)}", param_hint="NAME")


def _list() -> None:
    from novacron.meanings import introduction
    from novacron.specs.describing import described_classes

    for heading, kept in (("Specs: what you give", True), ("Records: what you get", False)):
        write(f"{heading}\n")
        found = {name: cls for name, cls in described_classes().items() if _is_spec(cls) == kept}
        _write_table((name, introduction(cls).partition("\n")[0]) for name, cls in found.items())
        write("")
    write("`novacron explain NAME` shows the fields of one, `novacron explain NAME.FIELD` all about a field.")


def _is_spec(cls: type) -> bool:
    return cls.__module__.startswith("novacron.specs.")


ALIASES = {"pool": "storagepool", "filter": "trafficfilter", "topology": "cputopology", "numa": "numanode"}
"""Short names of specs."""


def _plain(name: str) -> str:
    """Return a name as it is compared: "Cloud-Init" and "CloudInitSpec" are one."""
    text = name.lower().replace("-", "").replace("_", "").removesuffix("spec").removesuffix("settings")
    return ALIASES.get(text, text)


def _class(name: str) -> type | None:
    """Return the spec or record of this name; a spec comes first unless the name is exactly that of a record."""
    from novacron.specs.describing import described_classes

    classes = described_classes()
    return classes.get(name) or next((cls for each, cls in classes.items() if _plain(each) == _plain(name)), None)


def _fields(name: str) -> list[FieldDescription]:
    """Return the fields that a name means: CLASS.FIELD, FIELD, or FIELD.FIELD for a field of what another one consists of."""
    from novacron.specs.describing import described_classes

    *path, last = name.replace("-", "_").split(".")
    if not path:
        return [field for cls in described_classes().values() for field in _named(cls, last)]
    first = _class(path[0])
    owners = [first] if first else [cls for cls in described_classes().values() if _is_spec(cls)]
    rest = path[1:] if first else path
    for part in rest:
        if part.isdecimal():  # a place in a list: disks.0.cache
            continue
        owners = [field.inside for owner in owners for field in _named(owner, part) if field.inside]
    unique = dict.fromkeys(owners)
    return [field for owner in unique for field in _named(owner, last)]


def _named(cls: type, name: str) -> list[FieldDescription]:
    from novacron.specs.describing import described_fields

    return [field for field in described_fields(cls) if field.name == name.lower()]


def _operation(name: str) -> Operation | None:
    from novacron.plugins.validation import operations

    return operations().get(name.lower().replace(".", "_").replace("-", "_"))


def _meant(name: str) -> str:
    """Return a question for the name that was probably meant; empty if none is near."""
    from novacron.plugins.validation import operations
    from novacron.specs.describing import described_classes, described_fields

    first, dot, last = name.rpartition(".")
    if dot and (cls := _class(first)):
        near = difflib.get_close_matches(last.lower(), [field.name for field in described_fields(cls)], n=1)
        near = [f"{cls.__name__}.{field}" for field in near]
    else:
        near = []
    if not near:
        classes = described_classes()
        fields = {field.name for cls in classes.values() for field in described_fields(cls)}
        known = {each.lower(): each for each in [*fields, *(each.replace("_", ".", 1) for each in operations()), *classes]}
        near = [known[each] for each in difflib.get_close_matches(name.lower(), known, n=1)]
    return f", did you mean {near[0]!r}?" if near else "; `novacron explain` lists all"


def _explain_class(cls: type) -> None:
    from novacron.meanings import introduction
    from novacron.specs.describing import described_classes, described_fields

    fields = described_fields(cls)
    kind = "spec: what you give" if _is_spec(cls) else "record: what you get"
    write(f"{cls.__name__} ({kind})\n")
    for paragraph in introduction(cls).split("\n\n"):
        _write_wrapped(paragraph)
        write("")
    _write_table((field.name, field.meaning + (" Required." if field.required and _is_spec(cls) else "")) for field in fields)
    write("")
    others = [name for name, each in described_classes().items() if each is not cls and _plain(name) == _plain(cls.__name__)]
    if others:
        write(f"See also: {', '.join(others)}")
    write(f"`novacron explain {cls.__name__}.{fields[0].name}` and so on show all about a field.")


def _explain_fields(fields: Sequence[FieldDescription]) -> None:
    """Explain fields of specs in full, those of records by their meaning. Of many fields of specs only that of `VMSpec` is full."""
    from novacron.specs.describing import described_classes

    classes = described_classes()
    given = [field for field in fields if _is_spec(classes[field.owner])]
    full = given if len(given) <= FULL else [field for field in given if field.owner == "VMSpec"]
    for number, field in enumerate(full):
        if number:
            write("")
        _explain_field(field)
    if len(fields) == 1 and not given:
        _explain_record_field(fields[0])
    elif rest := [field for field in (*given, *fields) if field not in full]:
        write("\nThe same name elsewhere:\n" if full else "This name has several meanings:\n")
        _write_table((f"{field.owner}.{field.name}", field.meaning) for field in dict.fromkeys(rest))
        write(f"\n`novacron explain {rest[0].owner}.{rest[0].name}` shows all about one.")


def _explain_record_field(field: FieldDescription) -> None:
    write(f"{field.owner}.{field.name}\n")
    _write_wrapped(field.meaning or "No meaning: Python runs without docstrings.")
    write("")
    _write_table([("Value", field.allowed)])


def _explain_field(field: FieldDescription) -> None:
    from novacron_shell.usage import usage

    write(f"{field.owner}.{field.name}\n")
    _write_wrapped(field.meaning or "No meaning: Python runs without docstrings.")
    write("")
    how = usage(field)
    rows = [
        ("Value", field.allowed),
        ("Default", "none, it is required" if field.required else field.default),
        *_drivers(field),
        ("Option", how.option),
        ("Example", how.example),
    ]
    _write_table((heading, text) for heading, text in rows if text)
    if field.inside is not None:
        write(f"\n`novacron explain {field.inside.__name__}` shows its fields.")


def _drivers(field: FieldDescription) -> Iterator[tuple[str, str]]:
    """Yield the installed drivers that support a field, and those that refuse it with the reason."""
    from novacron.plugins.fields import spec_fields
    from novacron.plugins.matrix import installed_providers
    from novacron.plugins.validation import argument_spec, operations

    if field.owner not in spec_fields():  # no driver gets it
        return
    honoured, refused = [], []
    for provider in installed_providers():
        table = provider.fields() if provider.fields else {}
        names = table.get(field.owner, "").split()
        keys = [name for name in names if name.startswith(f"{field.name}.")]
        without = [
            key
            for key in table
            if key in operations()
            and "spec" in operations()[key].arguments
            and getattr(argument_spec(key, "spec"), "__name__", "") == field.owner
            and field.name not in table[key].split()
        ]
        if field.name in names or keys:
            only = f" (only {', '.join(keys)})" if keys else ""
            honoured.append(f"{provider.name}{only}" + (f" (not for {', '.join(without)})" if without else ""))
        else:
            reason = (provider.reasons() or {}).get(f"{field.owner}.{field.name}")
            refused.append(f"{provider.name}: {reason or 'not supported'}")
    yield "Drivers", ", ".join(honoured) or "none"
    yield "Refused by", "; ".join(refused)


def _explain_operation(operation: Operation) -> None:
    from novacron.plugins.matrix import installed_providers
    from novacron.plugins.validation import argument_spec, implementations
    from novacron_shell.cli import cli
    from novacron_shell.commands.operations import OTHER_COMMANDS

    write(f"{operation.name} (operation)\n")
    _write_wrapped(operation.summary)
    write("")
    arguments = [
        f"{name} ({spec.__name__})" if hasattr(spec := argument_spec(operation.name, name), "model_fields") else name
        for name in operation.arguments
        if name != "job"
    ]
    drivers = [
        provider.name
        for provider in installed_providers()
        if operation.name in {name for area in provider.areas() for name, _ in implementations(object.__new__(area))}
    ]
    noun, _, verb = operation.name.partition("_")
    group: Any = cli.get_command(click.Context(cli), noun)
    own = isinstance(group, click.Group) and group.get_command(click.Context(group), verb.replace("_", "-")) is not None
    command = f"novacron {noun} {verb.replace('_', '-')} --help" if own else f"novacron call {operation.name}"
    rows = [
        ("Arguments", ", ".join(arguments)),
        ("Status", ", ".join(operation.statuses)),
        ("Drivers", ", ".join(drivers) or "none"),
        ("Command", OTHER_COMMANDS.get(operation.name, command)),
    ]
    _write_table((heading, text) for heading, text in rows if text)


def _width() -> int:
    return max(40, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def _write_wrapped(text: str) -> None:
    for line in textwrap.wrap(" ".join(text.split()), _width() - 2, break_long_words=False, break_on_hyphens=False):
        write(f"  {line}")


def _write_table(rows: Any) -> None:
    """Write names with texts that are wrapped beside them."""
    found = list(rows)
    left = min(max(len(name) for name, _ in found), 30)
    for name, text in found:
        lines = textwrap.wrap(text, max(20, _width() - left - 4), break_long_words=False, break_on_hyphens=False) or [""]
        write(f"  {name:{left}}  {lines[0]}")
        for line in lines[1:]:
            write(f"  {'':{left}}  {line}")


COMMANDS = {"explain": explain}
