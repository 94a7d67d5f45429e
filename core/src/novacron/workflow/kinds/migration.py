"""The step that moves a VM to another host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import VMNotFoundError
from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.power import lacking
from novacron.workflow.kinds.snapshots import known_snapshots

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.specs import MigrationSpec
    from novacron.workflow.context import Context


class MigrateStep(StepKind):
    """Moves the VM to another host; undone by moving it back with the same options."""

    name = "migrate"
    frees = frozenset({"VM"})  # another host has other VMs

    def prepare(self, to: str, uri: str | None = None, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        from novacron.specs import MigrationSpec

        return {"to": to, "uri": uri, "options": MigrationSpec.parse(options).as_dict()}

    def describe(self, arguments: dict[str, Any]) -> str:
        return f"migrate to {arguments['to']}"

    def describe_undo(self, arguments: dict[str, Any]) -> str:
        return f"migrate back from {arguments['to']}"

    def check(self, context: Context) -> list[str]:
        destination, source = self._destination(context), context.host
        problems = lacking(context, "vm_migrate")
        if destination.name == source.name and not context.arguments["options"].get("node"):
            return [*problems, f"{context.ref.name!r} will be on {source.name} already"]
        if not context.expected.here:
            context.note(f"its pre-checks can only be asked once it is on {source.name}")
        elif source.supports("migration_check"):
            found = context.ask("migration_check", to=destination.destination(), spec=self._spec(context))
            problems += found.failures
            context.notes += found.warnings
        if not destination.supports("vm_migrate"):
            context.note(f"{destination.name} does not offer vm_migrate: it could not be migrated back")
        return problems

    def effect(self, context: Context) -> str:
        source, to = context.ref.host, context.arguments["to"]
        spec, expected = self._spec(context), context.expected
        how = "live" if spec.live and expected.status != "stopped" else "cold"
        storage = "disks copied" if spec.storage == "copy" else "disks shared"
        known_snapshots(context)  # while it is where they can be asked for
        expected.here = False
        context.moved(to)
        return f"{source} -> {to}, {how}, {storage}"

    def before(self, context: Context) -> dict[str, Any]:
        record = context.read()
        return {"host": context.ref.host, "status": record.status, "node": record.node}

    def run(self, context: Context) -> dict[str, Any]:
        report = self._move(context, self._destination(context), self._spec(context))
        return {
            "source": report.source,
            "destination": report.destination,
            "live": report.live,
            "total_seconds": report.total_seconds,
            "downtime_seconds": report.downtime_seconds,
            "transferred_bytes": report.transferred_bytes,
        }

    def undo(self, context: Context, result: Any) -> None:
        home = context.hosts[context.before["host"]]
        if context.ref.host == home.name and context.arguments["to"] == home.name:  # to another node of it
            if context.read().node != context.before["node"]:
                self._move(context, home, self._spec(context, context.arguments["options"] | {"node": context.before["node"]}))
            return
        if context.ref.host == home.name:
            return
        if _has(home, context.ref.id) and not _has(context.host, context.ref.id):
            context.moved(home.name)
            return
        # node and destination_uri name the way there, not the way back; a running VM goes back without being stopped
        options = {k: v for k, v in context.arguments["options"].items() if k not in ("node", "destination_uri")}
        if context.read().status == "running":
            options["live"] = True
        self._move(context, home, self._spec(context, options))

    def probe(self, context: Context) -> Any:
        destination = self._destination(context)
        source = context.hosts[context.before["host"]]
        if source.name == destination.name:
            there = context.read().node == context.arguments["options"].get("node")
            return {"source": source.name, "destination": source.name, "found": True} if there else None
        if not _has(destination, context.ref.id) or _has(source, context.ref.id):
            return None  # where both have it, the migration did not end
        context.moved(destination.name)
        return {"source": source.name, "destination": destination.name, "found": True}

    def settle(self, context: Context) -> None:
        context.settle(context.hosts[context.before["host"]])
        context.settle(self._destination(context))

    def _move(self, context: Context, destination: HostHandle, spec: MigrationSpec) -> Any:
        with context.migration_slot(destination):
            report = context.do("vm_migrate", spec.deadline + 60, to=destination.destination(), spec=spec)
        context.moved(destination.name)
        return report

    def _destination(self, context: Context) -> HostHandle:
        return context.hosts.at(context.arguments["to"], context.arguments.get("uri"))

    def _spec(self, context: Context, options: dict[str, Any] | None = None) -> MigrationSpec:
        from novacron.specs import MigrationSpec

        return MigrationSpec.parse(context.arguments["options"] if options is None else options)


def _has(host: HostHandle, vm: str) -> bool:
    try:
        host.invoke("vm_get", vm=vm)
    except VMNotFoundError:
        return False
    return True


__all__ = ["MigrateStep"]
