"""`novacron flow`: several steps as one, planned before and undone on failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options
from novacron_shell.output import Columns, show_many, show_one, write


@click.group("flow", cls=CommandGroup)
def flow() -> None:
    """Workflows: plan and run several steps, undone on failure.

    A step is KIND, KIND:VALUE or KIND:NAME=VALUE,...: novacron flow run web1 migrate:lab-b snapshot:name=after,description=moved

    A built-in flow (`flow list`) is used as a step is: novacron flow run host:kvm1 evacuate:to=kvm2 --max-parallel 2

    VMs are names, patterns (web-*), tag:TAG or host:HOST.
    """


def load_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--load`, which loads code before the command runs."""

    def load(context: Any, parameter: Any, names: tuple[str, ...]) -> None:
        from novacron.workflow.loading import load_code

        for name in names:
            load_code(name)

    return click.option(
        "--load",
        multiple=True,
        expose_value=False,
        callback=load,
        metavar="MODULE_OR_FILE",
        help="Load Python code with steps, flows and functions that flows may name; again for more.",
    )(command)


@flow.command("steps")
@list_options
def steps_(settings: Settings) -> None:
    """List the kinds of steps."""
    from novacron.workflow.kinds import default_kinds

    kinds = default_kinds()
    columns: Columns = {"kind": "kind", "what it does": "summary"}
    _show_named([{"kind": name, "summary": _first_line(kinds.find(name))} for name in kinds.names()], columns, "kind", settings)


def _show_named(rows: list[dict[str, str]], columns: Columns, name: str, settings: Settings) -> None:
    if settings.output == "name":
        write("\n".join(row[name] for row in rows))
    else:
        show_many(rows, columns, settings.output)


def _first_line(kind: Any) -> str:
    from novacron.workflow import steps

    documented = (vars(steps).get(kind.name).__doc__ or "").partition("\n")[0] if kind.name in steps.__all__ else ""
    return documented or str(kind.summary)


@flow.command("list")
@list_options
def list_(settings: Settings) -> None:
    """List the built-in flows and those of plugins, with their parameters; they are used as steps are."""
    from novacron.workflow import FLOWS

    columns: Columns = {"flow": "flow", "parameters": "parameters", "what it does": "summary"}
    rows = [
        {"flow": name, "parameters": FLOWS[name].usage, "summary": (FLOWS[name].__doc__ or "").partition("\n")[0]}
        for name in FLOWS.names()
    ]
    _show_named(rows, columns, "flow", settings)


@flow.command("show")
@click.argument("steps", nargs=-1)
@load_option
@click.option("--file", "file", type=click.File(), help="A workflow as YAML or JSON, in place of steps; - is stdin.")
@click.option("--mermaid", "drawn", flag_value="mermaid", help="As a Mermaid flowchart.")
@click.option("--dot", "drawn", flag_value="dot", help="As a graph for Graphviz' dot.")
@common_options
def show(settings: Settings, steps: tuple[str, ...], file: Any, drawn: str | None) -> None:
    """Show a workflow as a tree; with -o yaml as the file that --file takes."""
    made = compose(steps, file)
    if settings.output in ("json", "yaml"):
        show_one(made, settings.output)
    else:
        write(getattr(made, drawn or "tree")())


@flow.command("plan")
@click.argument("vms", metavar="VM[,VM...]")
@click.argument("steps", nargs=-1)
@load_option
@click.option("--file", "file", type=click.File(), help="A workflow as YAML or JSON, in place of steps; - is stdin.")
@common_options
def plan(settings: Settings, vms: str, steps: tuple[str, ...], file: Any) -> None:
    """Show every step, its pre-checks, what it would change and how it is undone; nothing is changed."""
    planned = compose(steps, file).plan(settings.vms(vms))
    if settings.output == "table":
        write(str(planned))
    else:
        show_one(planned, settings.output)
    if not planned.ok:
        raise click.exceptions.Exit(25)


@flow.command("run")
@click.argument("vms", metavar="VM[,VM...]")
@click.argument("steps", nargs=-1)
@load_option
@click.option("--file", "file", type=click.File(), help="A workflow as YAML or JSON, in place of steps; - is stdin.")
@click.option("--max-parallel", default=4, show_default=True, help="VMs at a time.")
@click.option("--detach", is_flag=True, help="Let a worker run it, and return at once.")
@common_options
def run(settings: Settings, vms: str, steps: tuple[str, ...], file: Any, max_parallel: int, detach: bool) -> None:
    """Run the steps on each VM; what was done is undone when a step fails.

    The run survives this process: `novacron run list` shows it, `novacron run resume` resumes it.
    """
    import novacron_shell.progress  # noqa: F401 - loaded before the run begins: a Ctrl-C meanwhile would leave the run to a worker
    from novacron_shell.commands.runs import follow_run

    if detach:
        from novacron import fleet

        write(fleet().runs.submit(compose(steps, file), settings.vms(vms), max_parallel=max_parallel))
        return
    handles = settings.vms(vms)
    target = handles[0] if len(handles) == 1 else handles
    begun = compose(steps, file).run(target, wait=False, max_parallel=max_parallel)
    follow_run(settings, begun)


def compose(steps: tuple[str, ...], file: Any = None) -> Any:
    """Return the workflow that the command line or a file describes. Nothing is imported because a file names it."""
    from novacron.workflow import Workflow

    if file is not None:
        from novacron_shell.yaml_files import load

        return Workflow.from_dict(load(file))
    if not steps:
        raise click.UsageError("no step given, such as migrate:lab-b snapshot:after")
    found = None
    for text in steps:
        made = _step(text)
        found = made if found is None else found >> made
    return found


def _step(text: str) -> Any:
    from novacron.errors import WorkflowError
    from novacron.workflow import FLOWS
    from novacron.workflow.files import misfit, positional, step_function

    kind, _, rest = text.partition(":")
    first: list[Any] = []
    values: dict[str, str] = {}
    last = ""
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if equals:
            last = key if key.startswith("metadata.") else key.replace("-", "_")
            values[last] = value
        elif last:
            values[last] += f",{part}"  # a comma within a value
        else:
            first.append(part)
    try:
        make = FLOWS[kind] if kind in FLOWS else step_function(kind)
        fields = _fields(kind, values)
        signature = FLOWS[kind].function if kind in FLOWS else make
        first += [part for value in positional(signature, fields) for part in value.split(",")]
        if wrong := "" if kind in FLOWS else misfit(make, first, fields):
            raise click.UsageError(f"{text}: {wrong}")
        return make(*first, **fields)
    except WorkflowError as error:
        order = "" if ":" in text else "; the VMs are one word before the steps: web1,web2"
        raise click.UsageError((f"{error}; {error.hint}" if error.hint else str(error)) + order) from None
    except TypeError as error:
        raise click.UsageError(f"{text}: {error}") from None


def _fields(kind: str, values: dict[str, str]) -> dict[str, Any]:
    """Return the arguments of a step. Names with dots are parts of one: `disk-attach:spec.size=5GiB`."""
    from novacron_shell.commands.changes import read_fields
    from novacron_shell.options import nested

    if kind == "update":  # fields of a VM, as `vm set` reads them
        return read_fields([f"{name}={value}" for name, value in values.items()])
    return nested(values)


COMMANDS = {"flow": flow}
