"""Public functions and methods say what they return. `Any` is for what truly can be anything, and each such function is listed here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = [ROOT / folder for folder in ("core/src", "shell/src", "lab/src")]
"""All but the drivers, whose users see handles and records: libvirt and pyVmomi give their objects no types."""

ALLOWED = {
    "an operation that is named by a text returns what that operation returns": (
        "novacron.dispatch.dispatcher.Dispatcher.invoke",
        "novacron.handles.host.HostHandle.invoke",
        "novacron.monitoring.measuring.AskedHost.invoke",
        "novacron.fleets.failover.restarting.invoke_host",
        "novacron.workflow.context.Context.ask",
        "novacron.workflow.context.Context.do",
    ),
    "a policy returns what the operation returns that it passes on": (
        "novacron.dispatch.*Policy.__call__",
        "novacron.dispatch.results.ResultCheck.__call__",
        "novacron.drivers.sim.state.faults.Faults.around",
        "novacron.fleets.claim_stage.ClaimStage.__call__",
        "novacron.fleets.claims.ClaimPolicy.__call__",
        "novacron_shell.repl.watching.ProgressPolicy.__call__",
    ),
    "a step, and what follows a job of any kind, returns what the step or the job does": (
        "novacron.workflow.kinds.*",
        "novacron.workflow.run.*",
        "novacron.workflow.context.Context.follow",
        "novacron.workflow.functions.Function.__call__",
        "novacron_shell.progress.follow",
        "novacron_lab.demo.Screen.follow",
    ),
    "it stands for another object": (
        "*.__getattr__",
        "novacron.plugins.application.ApplicationPlugins.hook",
        "novacron.plugins.entry_points.InstalledEntryPoint.load",
        "novacron_shell.repl.pipes.Action.__call__",
    ),
    "stored or written data has any type": (
        "novacron.redaction.redacted",
        "novacron.store.encryption.Encryption.loads",
        "novacron.store.runs.Entry.data",
        "novacron.workflow.references.resolved",
        "novacron_shell.repl.drawings.decoded",
        "novacron_shell.yaml_files.load",
        "novacron_lab.govc.Govc.json",
    ),
    "a type itself is asked for": ("novacron.plugins.validation.argument_spec", "novacron.specs.spec.spec_in"),
    "code of the user has any result": (
        "novacron_shell.repl.completion.arguments.resolve",
        "novacron_shell.repl.coroutines.run_code",
        "novacron_shell.watching.Listing.run",
    ),
    "a library that is not always installed makes it, or it has no types": (
        "novacron.records.series.Series.to_pandas",
        "novacron.records.series.Series.to_arrow",
        "novacron.fleets.fencing.redfish_connection.LimitedAdapter.send",
        "novacron.store.database.clock",
        "novacron.store.macs.insert_of",
        "novacron.monitoring.collector.AskedFleet.list",
        "novacron.monitoring.database_calls.DatabaseCalls.of",
    ),
    "the library click calls it": (
        "novacron_shell.cli.MainGroup.resolve_command",
        "novacron_shell.commands.flows.compose",
        "novacron_shell.commands.nodes.NumberType.convert",
        "novacron_shell.groups.CommandGroup.*",
        "novacron_shell.options.TextFile.convert",
    ),
}
"""The reason, and the functions as patterns."""

PATTERNS = [pattern for patterns in ALLOWED.values() for pattern in patterns]


def untyped(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    """Yield the public functions and methods that return `Any`. The overloads of a function count, its common body does not."""
    overloaded = {
        node.name
        for node in body
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(each).endswith("overload") for each in node.decorator_list)
    }
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from untyped(node.body, f"{prefix}.{node.name}")
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        private = node.name.startswith("_") and not node.name.startswith("__")
        is_body = node.name in overloaded and not any("overload" in ast.unparse(each) for each in node.decorator_list)
        if not private and not is_body and node.returns is not None and ast.unparse(node.returns).strip("'\"") == "Any":
            yield f"{prefix}.{node.name}"


def all_untyped() -> list[str]:
    return [
        name
        for folder in SOURCES
        for file in sorted(folder.rglob("*.py"))
        if "Any" in (text := file.read_text())
        for name in untyped(ast.parse(text).body, ".".join(file.relative_to(folder).with_suffix("").parts))
    ]


def test_public_functions_say_what_they_return():
    unknown = [name for name in all_untyped() if not any(fnmatch(name, pattern) for pattern in PATTERNS)]
    assert unknown == [], "use overloads, a type variable or the real type"


def test_every_exception_is_still_needed():
    names = all_untyped()
    assert [pattern for pattern in PATTERNS if not any(fnmatch(name, pattern) for name in names)] == []


def test_a_function_that_returns_any_is_found():
    source = """
def one() -> Any: ...
def _private() -> Any: ...
class Handle:
    def get(self) -> "Any": ...
    @overload
    def both(self, x: int) -> int: ...
    def both(self, x): ...
    @overload
    def any(self, x: int) -> Any: ...
    def any(self, x) -> Any: ...
class _Private:
    def get(self) -> Any: ...
"""
    assert [*untyped(ast.parse(source).body, "m")] == ["m.one", "m.Handle.get", "m.Handle.any"]
