"""`novacron vm set` and `novacron vm edit`: change fields of VMs, with the differences shown before."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from novacron.display import cell
from novacron.units import format_size
from novacron_shell.bulk import Bulk, each_vm
from novacron_shell.completion import complete_vms, vm_argument
from novacron_shell.options import Settings, common_options, nested, size
from novacron_shell.output import Columns, show_many, show_status, tell
from novacron_shell.selection import select

if TYPE_CHECKING:
    from novacron.handles.changes import ChangePlan, When
    from novacron.handles.vm import VMHandle

LISTS = ("tags", "cpu_features", "boot_order")
"""Fields that are lists: their values are separated by commas."""
MIB = 2**20
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.+-]*=")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the differences."""

    vm: str
    field: str
    before: Any
    after: Any
    applies: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return msgspec.structs.asdict(self)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a VM's configuration."""

    field: str
    value: Any
    pending: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return msgspec.structs.asdict(self)


def read_field(text: str) -> dict[str, Any]:
    """Return the field that FIELD=VALUE sets. An empty value removes a device or restores the default.

    Example:
        >>> read_field("features.hyperv=true"), read_field("watchdog="), read_field("boot_order=vda,sda"), read_field("description=")
        ({'features': {'hyperv': 'true'}}, {'watchdog': None}, {'boot_order': ['vda', 'sda']}, {'description': ''})
    """
    name, _, value = text.partition("=")
    field = name.strip().replace("-", "_") if not name.startswith("metadata.") else name.strip()
    if field == "memory" and value:
        size(value, field)
    if field in LISTS:
        given: Any = [part.strip() for part in value.split(",") if part.strip()]
    else:
        given = value if value or field == "description" else None
    first, dot, rest = field.partition(".")
    if first == "metadata" and dot:
        return {first: {rest: given}}  # keys may have dots
    return nested({field: given})


def read_fields(texts: Sequence[str]) -> dict[str, Any]:
    """Return the fields that several FIELD=VALUE set; parts of one field are put together."""
    found: dict[str, Any] = {}
    for text in texts:
        for name, value in read_field(text).items():
            both = isinstance(value, dict) and isinstance(found.get(name), dict)
            found[name] = {**found[name], **value} if both else value
    return found


@click.command("set")
@click.argument("words", metavar="VM... FIELD=VALUE...", nargs=-1, required=True, shell_complete=complete_vms)
@click.option("--live", is_flag=True, help="Change the running VM only, until it stops: vcpus and memory.")
@click.option("--next-start", is_flag=True, help="Change the definition only, for the next start.")
@click.option("--dry-run", is_flag=True, help="Show the differences, and change nothing.")
@click.option("--parallel", type=click.IntRange(min=1), default=8, show_default=True, help="Number of VMs at the same time.")
@common_options
def set_(settings: Settings, words: tuple[str, ...], live: bool, next_start: bool, dry_run: bool, parallel: int) -> None:
    """Change fields of VMs: novacron vm set web1 vcpus=4 features.hyperv=true watchdog=reset boot_order=vda,sda

    An empty value removes a device or restores the default: watchdog= display=. `novacron vm configuration VM` lists the fields.
    vcpus, memory, description, tags, metadata and autostart apply at once, the others at the next start of the VM.
    """
    names = [word for word in words if not _FIELD.match(word)]
    fields = read_fields([word for word in words if _FIELD.match(word)])
    if live and next_start:
        raise click.UsageError("give either --live or --next-start")
    if not names:
        before = f" before {words[0].partition('=')[0]}=" if words else ""  # without the value, which may be a secret
        raise click.UsageError(f"no VM is named{before}; an example: web1 vcpus=4")
    if not fields:
        raise click.UsageError(f"no FIELD=VALUE is given for {', '.join(names)}; an example: vcpus=4")
    when: When = "live" if live else "next_start" if next_start else "now"
    if dry_run:
        plans = [vm.plan_update(when=when, **fields) for vm in select(settings, names)]
        _show(plans, settings.output, data=True)
        return
    bulk = Bulk(settings, names, parallel=parallel, dry_run=False)

    def change(vm: Any) -> Any:
        plan = vm.plan_update(when=when, **fields)
        if bulk.single:
            _show([plan], settings.output)
        done = plan.apply()
        if bulk.single and len(plan):
            tell(f"undo: novacron vm set {vm.name} {_as_arguments(plan)}")
        return done

    bulk.do("change", change, show_status)


@click.command("edit")
@vm_argument
@click.option("--next-start", is_flag=True, help="Change the definition only, for the next start.")
@common_options
def edit(settings: Settings, vm: str, next_start: bool) -> None:
    """Change fields of VM in an editor ($VISUAL or $EDITOR), as YAML. Lines that are removed leave their field as it is."""
    import yaml

    from novacron.errors import InvalidSpecError

    handle = settings.vm(vm)
    present = handle.configuration().fields
    text = f"# {handle.name} on {handle.host.name}. Save and close to apply, or close without saving.\n"
    text += yaml.safe_dump(present, sort_keys=False, allow_unicode=True)
    when: When = "next_start" if next_start else "now"
    while True:
        edited = click.edit(text, extension=".yaml")
        if edited is None or edited == text:
            tell("nothing was changed")
            return
        try:
            plan = handle.plan_update(when=when, **_edited(edited, present))
            break
        except InvalidSpecError as error:
            if not sys.stdin.isatty():
                raise
            tell(f"error: {error}")
            click.confirm("edit again?", abort=True, err=True, default=True)
            text = edited
    _show([plan], settings.output)
    show_status(plan.apply(), settings.output)


def _edited(text: str, present: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that were changed in the text; metadata keys that were removed are None."""
    import io

    from novacron.errors import InvalidSpecError, SpecProblem
    from novacron_shell.yaml_files import load

    fields = load(io.StringIO(text)) or {}
    if not isinstance(fields, dict):
        problem = SpecProblem("content", type(fields).__name__, "fields with values")
        raise InvalidSpecError("can't read the edited text", problems=[problem])
    changed = {name: value for name, value in fields.items() if name not in present or value != present[name]}
    if isinstance(changed.get("metadata"), dict):
        changed["metadata"] = dict.fromkeys(set(present["metadata"]) - set(changed["metadata"])) | changed["metadata"]
    return changed


def _show(plans: Sequence[ChangePlan], output: str, *, data: bool = False) -> None:
    """Show the differences: as data of a dry run on standard output, otherwise as messages."""
    rows = [Row(vm=plan.vm.name, **change.as_dict()) for plan in plans for change in plan]
    if data:
        columns: Columns = {
            "vm": "vm",
            "field": "field",
            "before": lambda row: _text(row.field, row.before),
            "after": lambda row: _text(row.field, row.after),
            "applies": "applies",
        }
        show_many(rows, columns, output)
    elif not rows:
        tell("no change")
    else:
        for row in rows:
            tell(f"{row.field}: {_text(row.field, row.before)} -> {_text(row.field, row.after)} ({row.applies})")


def _text(field: str, value: Any) -> str:
    """Return a value as people write it: memory with its unit, "none" for nothing."""
    if value is None or value in ([], {}, ""):
        return "none"
    if field == "memory":
        return format_size(value)
    return str(value) if isinstance(value, bool) else cell(field, value)


def _as_arguments(plan: ChangePlan) -> str:
    """Return the arguments of `vm set` that restore the present values."""
    import shlex

    return " ".join(shlex.quote(word) for name, value in plan.undo.items() for word in _words(name, value))


def _words(name: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [word for key, each in value.items() for word in _words(f"{name}.{key}", each)]
    if name == "memory":
        return [f"memory={value // MIB}MiB" if value % MIB == 0 else f"memory={value}B"]
    shown = "" if value is None else ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return [f"{name}={shown}"]


@click.command("configuration")
@each_vm
def configuration(bulk: Bulk) -> None:
    """Show the fields that `vm set` can change, as they are at the next start, and those that the running VM has not taken over."""
    if bulk.output not in ("table", "wide"):
        bulk.show(lambda vm: vm.configuration())
        return
    columns: Columns = {"field": "field", "value": lambda each: _text(each.field, each.value), "at next start only": "pending"}
    bulk.show_lists(_settings_of, columns)


def _settings_of(vm: VMHandle) -> list[Setting]:
    found = vm.configuration()
    return [Setting(field=name, value=value, pending=name in found.pending) for name, value in found.fields.items()]


VM_COMMANDS = {"set": set_, "edit": edit, "configuration": configuration}
