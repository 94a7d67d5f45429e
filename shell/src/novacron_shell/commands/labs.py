"""`novacron apply`, `diff`, `destroy`, `describe` and `schema`: labs that a file describes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
import msgspec

from novacron_shell.completion import complete_vms
from novacron_shell.confirm import confirm, yes_option
from novacron_shell.options import Settings, common_options, read_fields
from novacron_shell.output import show_many, show_one, tell, write

if TYPE_CHECKING:
    from novacron.labs import Lab, LabPlan


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the differences: one for each field that changes."""

    action: str
    kind: str
    name: str
    host: str
    field: str | None = None
    before: Any = None
    after: Any = None
    applies: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return msgspec.structs.asdict(self)


COLUMNS = {
    "action": "action",
    "kind": "kind",
    "name": "name",
    "host": "host",
    "field": "field",
    "before": "before",
    "after": "after",
    "applies": "applies",
}


def _lab_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `-f`, `--param` and `--profile`; it gets the lab as `lab`."""

    @click.option("-f", "--file", "file", type=click.File(), required=True, help="The lab file (YAML or JSON); - is stdin.")
    @click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A value for a parameter of the file.")
    @click.option("--profile", help="The profile of VMs that name none.")
    @functools.wraps(command)
    def wrapped(*args: Any, file: Any, params: tuple[str, ...], profile: str | None, **kwargs: Any) -> Any:
        from novacron.labs import Lab

        return command(*args, lab=Lab.parse(read_fields(file), _parameters(params), profile), **kwargs)

    return wrapped


def _parameters(texts: tuple[str, ...]) -> dict[str, Any]:
    import io

    from novacron_shell.yaml_files import load

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--param")
        found[name.strip()] = load(io.StringIO(value))
    return found


def _plan(settings: Settings, lab: Lab, *, prune: bool = False, destroy: bool = False) -> LabPlan:
    needs_host = lab.host is None and (not lab.resources or any(each.host is None for each in lab.resources))
    return lab.plan(settings.host() if settings.named or needs_host else None, prune=prune, destroy=destroy)


def _show(plan: LabPlan, settings: Settings, *, data: bool) -> None:
    """Show the differences: as data on standard output, or as messages."""
    rows = [
        Row(**{"action": a.action, "kind": a.kind, "name": a.name, "host": a.host}, **change)
        for a in plan
        for change in a.as_dict()["changes"] or [{}]
    ]
    if data:
        show_many(rows, COLUMNS, settings.output)
        return
    for action in plan:
        tell(str(action) + "".join(f"\n  {field}: {old!r} -> {new!r} ({when})" for field, old, new, when in action.changes))


@click.command("apply")
@_lab_options
@click.option("--prune", is_flag=True, help="Delete resources that were created for the lab and that the file no longer has.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@yes_option
@common_options
def apply(settings: Settings, lab: Lab, prune: bool, dry_run: bool, yes: bool) -> None:
    """Create and change VMs, networks, pools, volumes and images as a lab file describes them.

    A second apply changes nothing. If an action fails, the actions before it are undone. If this process is killed, the next apply resumes.
    """
    plan = _plan(settings, lab, prune=prune)
    _show(plan, settings, data=dry_run)
    if not dry_run:
        _apply(plan, settings, yes=yes)


@click.command("diff")
@_lab_options
@click.option("--prune", is_flag=True, help="Also show resources that `apply --prune` would delete.")
@click.option("--exit-code", is_flag=True, help="End with exit code 1 if there are differences.")
@common_options
def diff(settings: Settings, lab: Lab, prune: bool, exit_code: bool) -> None:
    """Show how the hosts differ from a lab file. Nothing is changed."""
    plan = _plan(settings, lab, prune=prune)
    _show(plan, settings, data=True)
    if exit_code and len(plan):
        raise click.exceptions.Exit(1)


@click.command("destroy")
@_lab_options
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and change nothing.")
@yes_option
@common_options
def destroy(settings: Settings, lab: Lab, dry_run: bool, yes: bool) -> None:
    """Delete all resources that were created for a lab. Resources that existed before stay."""
    plan = _plan(settings, lab, destroy=True)
    _show(plan, settings, data=dry_run)
    if not dry_run:
        _apply(plan, settings, yes=yes)


def _apply(plan: LabPlan, settings: Settings, *, yes: bool) -> None:
    deleted = [f"{action.kind} {action.name}" for action in plan if action.action == "delete"]
    if deleted:
        confirm(f"delete {', '.join(deleted)}", yes=yes)
    shown = [""]

    def progress(now: Any) -> None:
        if now.message and now.message != shown[0]:
            shown[0] = now.message
            tell(f"  {now.message}")

    done = plan.apply(on_progress=progress)
    if settings.output in ("table", "wide"):
        tell(
            f"{plan.lab.name}: no change"
            if done.id is None
            else f"{plan.lab.name}: {len(plan)} changes {done.status}, run {done.id}"
        )
    else:
        show_many([Row(action=a.action, kind=a.kind, name=a.name, host=a.host) for a in plan], COLUMNS, settings.output)


@click.command("describe")
@click.argument("words", metavar="[VM]...", nargs=-1, shell_complete=complete_vms)
@click.option("--name", default="lab", show_default=True, help="The name of the lab.")
@common_options
def describe(settings: Settings, words: tuple[str, ...], name: str) -> None:
    """Print what a host has as a lab file: all of it, or the given VMs with their networks and pools.

    novacron describe 'web-*' >lab.yaml; novacron apply -f lab.yaml --host other
    """
    from novacron.errors import InvalidSpecError, SpecProblem
    from novacron.labs import describe as described
    from novacron_shell.selection import select

    if words:
        vms = select(settings, words)
        hosts = {vm.host.name: vm.host for vm in vms}
        if len(hosts) > 1:
            raise InvalidSpecError(
                "a description is of one host", problems=[SpecProblem("host", ", ".join(hosts), "one of them")]
            )
        found = described(next(iter(hosts.values())), vms, name=name)
    else:
        found = described(settings.host(), name=name)
    show_one(found, "yaml" if settings.output in ("table", "wide") else settings.output)


@click.command("schema")
@click.argument("name", default="lab", metavar="[lab|SPEC]")
def schema(name: str) -> None:
    """Print the JSON Schema of lab files, or of a spec such as VMSpec.

    Editors use it: `# yaml-language-server: $schema=lab.schema.json` in the first line of a lab file.
    """
    import json

    from novacron import specs
    from novacron.labs import lab_schema

    classes = {each: getattr(specs, each) for each in specs.__all__ if hasattr(getattr(specs, each), "model_json_schema")}
    if name != "lab" and name not in classes:
        raise click.BadParameter(f"{name!r} is not lab or one of {', '.join(sorted(classes))}", param_hint="NAME")
    write(json.dumps(lab_schema() if name == "lab" else classes[name].model_json_schema(), indent=2))


COMMANDS = {"apply": apply, "diff": diff, "destroy": destroy, "describe": describe, "schema": schema}
