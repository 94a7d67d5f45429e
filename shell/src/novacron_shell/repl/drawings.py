"""Displays of kinds that are more than fields: snapshots as a tree, runs with their steps, plans, metrics with curves, pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from novacron.display import cell, fields_of, rows_of
from novacron.errors import NovaCronError, OperationTimeoutError
from novacron.text import printable, printable_line
from novacron.threads import within
from novacron_shell.output import STATUS_STYLE
from novacron_shell.progress import describe
from novacron_shell.repl.display import card, error_line, records_table, table, without_address
from novacron_shell.repl.sparklines import sparkline
from novacron_shell.repl.themes import Code

CARD_SECONDS, ADDRESS_SECONDS = 3.0, 2.0
"""How long the display of a VM waits for its host, and for its addresses."""
LEXERS = {"json": "json", "yaml": "yaml", "vmx": "ini"}
"""Pygments lexers of native definitions, by the end of their format; others are XML."""


def definition(found: Any) -> RenderableType:
    """A VM's native definition, highlighted."""
    lexer = next((lexer for ending, lexer in LEXERS.items() if found.format.endswith(ending)), "xml")
    return Code(found.text, lexer, wrap=True)


def page(found: Any) -> RenderableType:
    """One page of records."""
    return records_table(found.items)


def snapshots(found: Any) -> RenderableType:
    """The snapshots of a VM as a tree; a dot marks the current one."""
    records = [snapshot.record for snapshot in found]
    if not records:
        return Text("no snapshots", style="dim")
    root = Tree(Text(printable_line(found._vm.name if hasattr(found, "_vm") else records[0].vm), style="bold"))
    branches: dict[Any, Tree] = {}
    waiting = list(records)
    while waiting:
        left = []
        for record in waiting:
            above = _above(record, branches, records)
            if above is None:
                left.append(record)
            else:
                branches[record.id or record.name] = (root if above is True else above).add(_snapshot(record))
        if len(left) == len(waiting):  # a ring of parents: shown at the root
            for record in left:
                root.add(_snapshot(record))
            break
        waiting = left
    return root


def _above(record: Any, branches: Mapping[Any, Tree], records: Sequence[Any]) -> Any:
    """Return the parent's branch, True for the root, None if the parent has no branch yet."""
    parent = record.parent_id or record.parent
    if parent is None or parent not in {each.id or each.name for each in records}:
        return True
    return branches.get(parent)


def _snapshot(record: Any) -> Text:
    marks = [(" ● current", "green")] if record.current else []
    size = f"  {cell('size_bytes', record.size_bytes)}" if record.size_bytes else ""
    details = f"  {record.created_at}  {record.status}{'  with memory' if record.memory else ''}{size}"
    text = f"  {record.description}" if record.description else ""
    return Text.assemble((printable_line(record.name), "bold"), *marks, (printable_line(details), "dim"), printable_line(text))


def host(found: Any) -> RenderableType:
    """A host: what it is, and its use now if it answers."""
    info = found.info()
    parts: list[RenderableType] = [card(info)]
    if found.supports("host_stats"):
        stats = found.stats()
        known = fields_of(info)
        parts.append(card(stats, without=[name for name in fields_of(stats) if name in known or name == "host"]))
    return Group(*parts)


def vm(found: Any) -> RenderableType:
    """All of a VM; if its host does not answer, what was read before."""
    try:
        return card(_whole(found))
    except NovaCronError as error:
        return Group(card(found.record), error_line(error))


def nics(found: Any) -> RenderableType:
    """The NICs of a VM with their addresses."""
    try:
        return records_table(_whole(found._vm).nics or ())
    except NovaCronError as error:
        return error_line(error)


def _whole(found: Any) -> Any:
    """Read all of a VM. Raises OperationTimeoutError if its host takes too long: the prompt would wait for it."""
    from novacron.handles.addresses import whole_record

    try:
        return within(CARD_SECONDS, lambda: whole_record(found, seconds=ADDRESS_SECONDS), "novacron-card")
    except TimeoutError:
        raise OperationTimeoutError(
            f"{found.host.name} did not tell all of {found.name} within {CARD_SECONDS:g} s", hint="`.refresh()` waits longer"
        ) from None


def hosts(found: Mapping[str, Any]) -> RenderableType:
    """Connected hosts."""
    return table(("name", "uri", "driver"), [(each.name, each.uri, each.driver_name) for each in found.values()])


def fleet_hosts(found: Mapping[str, Any]) -> RenderableType:
    """The registered hosts; none of them is contacted."""
    return table(("name", "uri"), [(each.name, each.uri) for each in found.registered().values()])  # type: ignore[attr-defined]


def fleet(found: Any) -> RenderableType:
    """The registered hosts of a fleet."""
    return table(("name", "uri"), [(each.name, each.uri) for each in found.list()])


def resources(found: Any) -> RenderableType:
    """The resources of a VM, read now."""
    return card(found.read())


def guest(found: Any) -> RenderableType:
    """What the guest agent reports."""
    return _read(found, found.info)


def metrics(found: Any) -> RenderableType:
    """What a VM uses now."""
    return _read(found, found)


def _read(found: Any, read: Callable[[], Any]) -> RenderableType:
    """The record that is read now. That it can't be read is no failure of the display."""
    try:
        return card(read())
    except NovaCronError as error:
        return Group(named(found), error_line(error))


def metric_definitions(found: Any) -> RenderableType:
    """The metrics of the fleet that can be queried."""
    return records_table(list(found.definitions().values()))


def capacity_forecasts(found: Any) -> RenderableType:
    """When nodes, groups and pools are full."""
    return records_table(found.forecast())


def native_operations(found: Any) -> RenderableType:
    """The operations that only this product has."""
    rows = [(name, (getattr(found, name).__doc__ or "").strip().partition("\n")[0]) for name in dir(found)]
    return table(("operation", "what it does"), rows)


def job(found: Any) -> RenderableType:
    """A job with its progress, or its result."""
    title = Text.assemble((f"{found.operation} {printable_line(found.resource or '')} ", "bold"))
    if found.done():
        error = found.exception()
        return Group(title, error_line(error)) if error is not None else Text.assemble(title, ("done", "green"))
    line = Table.grid(padding=(0, 1))
    share = found.progress.fraction
    line.add_row(
        title,
        ProgressBar(total=1.0, completed=share or 0.0, width=30, pulse=share is None),
        "" if share is None else f"{share:.0%}",
        Text(describe(found.progress)),
    )
    return line


STEP_MARKS = {"done": "✔", "failed": "✘", "running": "▶", "undone": "↶", "undoing": "↶", "skipped": "–", "undo_failed": "✘"}


def run(found: Any) -> RenderableType:
    """A run of a workflow: its steps as a tree with their status and duration."""
    names = getattr(found, "resource", None) or ", ".join(vm.name or vm.id for vm in getattr(found, "vms", ()))
    title = printable_line(f"{found.id}  {found.name or getattr(found, 'flow', '') or 'workflow'} of {names}  ")
    tree = Tree(Text.assemble((title, "bold"), (found.status, STATUS_STYLE.get(found.status, "yellow"))))
    named = len({step.vm for step in found.steps}) > 1
    for step in found.steps:
        style = STATUS_STYLE.get(step.status, "")
        took = f"  {cell('took_seconds', step.seconds)}" if step.seconds is not None else ""
        text = Text.assemble(
            (f"{STEP_MARKS.get(step.status, ' ')} ", style),
            printable_line(f"{step.vm}: {step.description}" if named else step.description),
            (f"  {step.status}{took}", "dim"),
        )
        branch = tree.add(text)
        if why := step.error or step.undo_error:
            branch.add(Text(printable(str(why.get("text", why.get("message", "")))), style="red"))
    for left in getattr(found, "left", ()):
        tree.add(Text(printable(f"left: {left}"), style="red"))
    return tree


def told(found: Any) -> RenderableType:
    """A value whose `str` is meant for people, such as a plan."""
    return Text(printable(str(found)))


def workflow(found: Any) -> RenderableType:
    """A workflow: its steps in words."""
    return Text.assemble((f"{found.name or 'workflow'}: ", "bold"), printable(found.description))


def flows(found: Any) -> RenderableType:
    """All flows with their parameters and what they do."""
    listed = [found[name] for name in dir(found)]
    rows = [(each.name, each.usage, (each.__doc__ or "").strip().partition("\n")[0]) for each in listed]
    return table(("flow", "parameters", "what it does"), rows)


def flow(found: Any) -> RenderableType:
    """One flow."""
    return Text.assemble((f"{found.name}({found.usage})", "bold"), "\n", printable((found.__doc__ or "").strip()))


def listing(found: Any) -> RenderableType:
    """A store that lists its records: runs, schedules, images."""
    return records_table(list(found.list()))


def usage(records: Sequence[Any]) -> RenderableType:
    """Stored metrics: a table, and a curve of each column."""
    headings, rows = rows_of(records)
    drawn = table(headings, rows)
    if isinstance(drawn, Table) and len(records) > 1:
        names = ("cpus", "memory_used_bytes", "disk_read_bytes", "disk_written_bytes", "net_received_bytes", "net_sent_bytes")
        curves = (sparkline([getattr(record, name) for record in records], 16) for name in names)
        drawn.add_row("", *(Text(curve, style="cyan") for curve in curves))
    return drawn


def selection(found: Any) -> RenderableType:
    """Some VMs, and the hosts that did not answer."""
    return _with_unreachable(records_table(list(found)), found)


def done(found: Any) -> RenderableType:
    """What an action did: one line for each VM, and how many succeeded."""
    rows = [
        (each.vm.name, each.vm.host.name, "done" if each.ok else "failed" if each.started else "not started", _result(each))
        for each in found.all
    ]
    hints = dict.fromkeys(each.error.hint for each in found.failed if each.error.hint)
    lines = [Text.assemble(("hint: ", "yellow"), printable(hint)) for hint in hints]
    summary = Text(f"{found.action}: {found.summary}", style="red" if found.failed else "green")
    return _with_unreachable(Group(table(("VM", "host", "outcome", ""), rows), summary, *lines), found)


def _result(outcome: Any) -> str:
    if outcome.error is not None:
        return f"{type(outcome.error).__name__}: {outcome.error}"
    result = outcome.result
    if result is None or hasattr(result, "status"):
        return "" if result is None else str(result.status)
    name = getattr(result, "name", None)
    return name if isinstance(name, str) else without_address(repr(result))


def _with_unreachable(drawn: RenderableType, found: Any) -> RenderableType:
    lines = [Text(printable(f"no answer from {host}: {error}"), style="red") for host, error in found.unreachable.items()]
    return Group(drawn, *lines) if lines else drawn


def executed(found: Any) -> RenderableType:
    """The output of a program in a guest, and how it ended."""
    parts: list[RenderableType] = []
    for data, style in ((found.stdout, ""), (found.stderr, "red")):
        if data:
            parts.append(Text(printable(data.decode(errors="replace").rstrip("\n")), style=style))
    status = f"exit code {found.exit_status}{', output truncated' if found.truncated else ''}"
    return Group(*parts, Text(status, style="dim" if not found.exit_status else "red"))


class _Chart:
    """A chart that fills the width of the terminal, drawn by plotext."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from datetime import UTC, datetime

        import plotext

        from novacron.plotting import MOST, label, level_texts

        plotext.clear_figure()
        plotext.theme("clear" if console.color_system is None else "pro")
        plotext.canvas_color("default")
        plotext.axes_color("default")
        plotext.limit_size(False, False)
        plotext.plotsize(min(options.max_width, 120), 16)
        plotext.title(printable_line(self._found.title))
        drawn = self._found.series[:MOST]
        for one in drawn:
            plotext.plot(*zip(*one.points, strict=True), marker="braille", label=printable_line(label(one)))
        times = [at for one in drawn for at, _ in one.points]
        marks = [min(times) + (max(times) - min(times)) * part / 4 for part in range(5)]
        format_ = "%H:%M" if max(times) - min(times) < 86400 else "%m-%d %H:%M"
        plotext.xticks(marks, [datetime.fromtimestamp(mark, UTC).strftime(format_) for mark in marks])
        values = [value for one in drawn for _, value in one.points]
        levels = [min(values) + (max(values) - min(values)) * part / 4 for part in range(5)]
        unit = drawn[0].unit if len({one.unit for one in drawn}) == 1 else ""
        plotext.yticks(levels, level_texts(levels, unit))
        yield Text.from_ansi(plotext.build())
        if len(self._found.series) > MOST:
            yield Text(f"and {len(self._found.series) - MOST} more series", style="dim")


def plot(found: Any) -> RenderableType:
    """A line chart of metrics."""
    if not found.series:
        return Text(printable(f"{found.title}: no data; `novacron monitor collect` stores metrics"), style="dim")
    return _Chart(found)


PICTURE_COLUMNS = 80
"""How wide a picture is at the most."""


class _Picture:
    """A picture in terminals, by Kitty's protocol, Sixel or coloured half blocks, as the terminal can; elsewhere a line of text."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        if console.is_terminal and console.color_system is not None and (drawn := _image(found.data)) is not None:
            yield from console.render(drawn, options.update(max_width=min(options.max_width, PICTURE_COLUMNS)))
        yield Text(
            printable_line(
                f"picture of the VM {found.vm}: {found.mime_type}, {cell('size_bytes', len(found.data))}; save it with "
                f"`:screenshot {found.vm} FILE`"
            )
        )


def decoded(data: bytes) -> Any:
    """Return a picture as an image of Pillow; None if its data can't be read."""
    import io

    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return image


def _image(data: bytes) -> RenderableType | None:
    """Return what draws a picture in its own shape, as large as fits; None if its data can't be read.

    The terminal is asked once what it can show.
    """
    from textual_image.renderable import HalfcellImage, Image, UnicodeImage

    image = decoded(data)
    if image is None:
        return None
    kind: Any = HalfcellImage if Image is UnicodeImage else Image
    drawn: RenderableType = kind(image, width="auto", height="auto")
    return drawn


def picture(found: Any) -> RenderableType:
    """A screenshot: the picture where the terminal can show it, its kind and size."""
    return _Picture(found)


def migration_check(found: Any) -> RenderableType:
    """The result of a migration's checks."""
    head = (
        Text("all pre-checks passed", style="green")
        if found.ok
        else Text(f"{len(found.failures)} pre-checks failed", style="red")
    )
    lines = [Text(printable(f"  ✘ {each}"), style="red") for each in found.failures]
    return Group(head, *lines, *(Text(printable(f"  ! {each}"), style="yellow") for each in found.warnings))


def plain(found: Any) -> RenderableType:
    """A specification, as JSON."""
    values = found.as_dict() if hasattr(found, "as_dict") else found.model_dump(mode="json")
    return Code(
        json.dumps({k: v for k, v in values.items() if v not in (None, [], {})}, indent=2, default=str), "json", wrap=True
    )


def settings(found: Any) -> RenderableType:
    """The fleet's settings."""
    return table(("setting", "value"), [(name, str(value)) for name, value in found.items()])


def named(found: Any) -> RenderableType:
    """A thing that is described by its repr."""
    return Text(printable(without_address(repr(found))))


DRAWERS: Mapping[str, Any] = {
    "NativeDefinition": definition,
    "Page": page,
    "SnapshotCollection": snapshots,
    "HostHandle": host,
    "VMHandle": vm,
    "NICCollection": nics,
    "OpenHosts": hosts,
    "FleetHosts": fleet_hosts,
    "Fleet": fleet,
    "ResourcesHandle": resources,
    "GuestHandle": guest,
    "Job": job,
    "Run": run,
    "RunRecord": run,
    "Runs": listing,
    "Schedules": listing,
    "Plan": told,
    "Workflow": workflow,
    "Flows": flows,
    "DefaultFlows": flows,
    "FlowFunction": flow,
    "ImageCollection": listing,
    "ExecResult": executed,
    "Outcomes": done,
    "Selection": selection,
    "Screenshot": picture,
    "MigrationCheck": migration_check,
    "Plot": plot,
    "Spec": plain,
    "Settings": settings,
    "FleetAlerts": listing,
    "FleetMetrics": metric_definitions,
    "CapacityPlanning": capacity_forecasts,
    "FenceDevices": listing,
    "Failovers": listing,
    "Maintenance": named,
    "HostDevices": listing,
    "VMDevices": listing,
    "VMMetricsHandle": metrics,
    "NativeOperations": native_operations,
    "SSHHandle": named,
    "Each": named,
    "FenceTarget": named,
    "EventStream": named,
    "Site": named,
    "Database": named,
    "list of VMUsage": usage,
}
"""Name of a class of NovaCron to the function that draws it; "list of VMUsage" is for lists of that record.

Names stand for the classes, so that the shell starts without importing them."""
