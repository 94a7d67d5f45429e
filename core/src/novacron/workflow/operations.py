"""The built-in kinds of steps, made of the operations: migration, snapshots, changes; `power` has those of the status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, NotFoundError, SnapshotNotFoundError, SpecProblem, VMNotFoundError
from novacron.workflow.copies import COPY_STEPS
from novacron.workflow.guests import GUEST_STEPS
from novacron.workflow.kinds import StepKind
from novacron.workflow.power import POWER_STEPS, lacking
from novacron.workflow.retention import KeepSnapshots

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.records.snapshots import Snapshot
    from novacron.specs import MigrationSpec
    from novacron.workflow.context import Context

TIME = "{time}"
"""In a snapshot's name: when the step began, "20261124T160501Z"."""


class MigrateStep(StepKind):
    """Moves the VM to another host; undone by moving it back with the same options."""

    name = "migrate"

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
            "source": report.source, "destination": report.destination, "live": report.live,
            "total_seconds": report.total_seconds, "downtime_seconds": report.downtime_seconds,
            "transferred_bytes": report.transferred_bytes,
        }  # fmt: skip

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
        from novacron.workflow.limits import migrating

        with migrating(context, context.host, destination):
            report = context.do("vm_migrate", spec.deadline + 60, to=destination.destination(), spec=spec)
        context.moved(destination.name)
        return report

    def _destination(self, context: Context) -> HostHandle:
        return context.hosts.at(context.arguments["to"], context.arguments.get("uri"))

    def _spec(self, context: Context, options: dict[str, Any] | None = None) -> MigrationSpec:
        from novacron.specs import MigrationSpec

        return MigrationSpec.parse(context.arguments["options"] if options is None else options)


class SnapshotStep(StepKind):
    """Takes a snapshot; undone by deleting it."""

    name = "snapshot"

    def prepare(self, name: str, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        from novacron.specs import SnapshotSpec

        return SnapshotSpec.parse({"name": name.replace(TIME, _now()), **options}).as_dict() | {"name": name}

    def describe(self, arguments: dict[str, Any]) -> str:
        return f"snapshot {arguments['name']!r}"

    def describe_undo(self, arguments: dict[str, Any]) -> str:
        return f"delete the snapshot {arguments['name']!r}"

    def check(self, context: Context) -> list[str]:
        problems = lacking(context, "snapshot_create")
        if not context.host.supports("snapshot_delete"):
            context.note(f"{context.host.name} does not offer snapshot_delete: it could not be undone")
        if self.name_of(context) in known_snapshots(context):
            problems.append(f"{context.ref.name!r} will have a snapshot {self.name_of(context)!r} already")
        return problems

    def effect(self, context: Context) -> str:
        known_snapshots(context).add(self.name_of(context))
        return f"a new snapshot {self.name_of(context)!r} on {context.ref.host}"

    def run(self, context: Context) -> dict[str, Any]:
        from novacron.specs import SnapshotSpec

        spec = SnapshotSpec.parse(context.arguments | {"name": self.name_of(context)})
        return _summary(context.do("snapshot_create", spec=spec))

    def undo(self, context: Context, result: Any) -> None:
        try:
            context.do("snapshot_delete", snapshot=self.name_of(context), children=False)
        except SnapshotNotFoundError:
            pass  # gone already: that is the state before

    def before(self, context: Context) -> dict[str, Any]:
        named = {"name": str(context.arguments["name"]).replace(TIME, _now())}
        context.before = named
        return named | ({"existed": self._get(context) is not None} if context.host.supports("snapshot_get") else {})

    def probe(self, context: Context) -> Any:
        if context.before.get("existed"):
            return None  # the one that is there is not ours
        found = self._get(context)
        return None if found is None else _summary(found)

    def name_of(self, context: Context) -> str:
        """The snapshot's name; the time in it is that of the step's beginning, however often its process ends."""
        return str(context.before.get("name") or str(context.arguments["name"]).replace(TIME, _now()))

    def _get(self, context: Context) -> Snapshot | None:
        try:
            found: Snapshot = context.ask("snapshot_get", snapshot=self.name_of(context))
        except SnapshotNotFoundError:
            return None
        return found


class SnapshotUse(StepKind):
    """Reverts to a snapshot, or deletes one. Neither can be undone: what it overwrites is gone."""

    def __init__(self, name: str, operation: str, extra: dict[str, Any]) -> None:
        self.name, self.operation, self.extra = name, operation, extra

    def prepare(self, name: str, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        options = {k: {"true": True, "false": False}.get(str(v).lower(), v) for k, v in options.items()}  # as specs read them
        strange = [k for k, v in options.items() if k not in self.extra or not isinstance(v, bool)]
        if strange or not isinstance(name, str):
            allowed = "true or false" if strange and strange[0] in self.extra else f"one of {', '.join(['name', *self.extra])}"
            field = strange[0] if strange else "name"
            raise InvalidSpecError(
                f"invalid step {self.name}", problems=[SpecProblem(field, str(options.get(field, name)), allowed)]
            )
        return {"name": name, **self.extra, **options}

    def describe(self, arguments: dict[str, Any]) -> str:
        verb = "revert to" if self.name == "revert" else "delete"
        return f"{verb} the snapshot {arguments['name']!r}"

    def check(self, context: Context) -> list[str]:
        problems, name = lacking(context, self.operation), context.arguments["name"]
        if name not in known_snapshots(context):
            problems.append(f"{context.ref.name!r} will have no snapshot {name!r}")
        return problems

    def effect(self, context: Context) -> str:
        if self.name == "revert":
            return "disks, and memory where the snapshot has it, as they were then"
        known_snapshots(context).discard(context.arguments["name"])
        return "the snapshot is gone"

    def probe(self, context: Context) -> Any:
        if self.name == "revert" or any(s.name == context.arguments["name"] for s in context.ask("snapshot_list")):
            return None  # reverting twice is as reverting once
        return {"status": context.read().status}

    def run(self, context: Context) -> dict[str, Any]:
        extra = {k: context.arguments[k] for k in self.extra}
        record = context.do(self.operation, snapshot=context.arguments["name"], **extra)
        return {"status": record.status}


class UpdateStep(StepKind):
    """Changes fields of the VM; undone by the values they had."""

    name = "update"
    undo_description = "set the values it had"

    def prepare(self, **changes: Any) -> dict[str, Any]:
        from novacron.specs import VMUpdate

        return VMUpdate.parse(changes).as_dict()

    def describe(self, arguments: dict[str, Any]) -> str:
        return f"update {', '.join(sorted(arguments))}"

    def check(self, context: Context) -> list[str]:
        return lacking(context, "vm_update")

    def effect(self, context: Context) -> str:
        return ", ".join(f"{k} = {v!r}" for k, v in sorted(context.arguments.items()))

    def before(self, context: Context) -> dict[str, Any]:
        record, changes = context.read().as_dict(), self.changes(context)
        old = {k: record.get("memory_bytes" if k == "memory" else k) for k in changes}
        if "tags" in old:
            old["tags"] = sorted(old["tags"] or ())
        if "metadata" in old:  # merged by the driver, None removes a key
            old["metadata"] = {k: (old["metadata"] or {}).get(k) for k in changes["metadata"]}
        if old.get("description", "") is None:
            old["description"] = ""
        return {"values": old}

    def changes(self, context: Context) -> dict[str, Any]:
        """The changes as plain values."""
        return context.arguments

    def run(self, context: Context) -> dict[str, Any]:
        changes = self.changes(context)
        self._apply(context, changes)
        return {"changed": sorted(changes)}

    def probe(self, context: Context) -> Any:
        record, changes = context.read().as_dict(), self.changes(context)
        now = {k: record.get("memory_bytes" if k == "memory" else k) for k in changes}
        if "metadata" in now:
            now["metadata"] = {k: (now["metadata"] or {}).get(k) for k in changes["metadata"]}
        if "tags" in now:
            now["tags"], changes = sorted(now["tags"] or ()), changes | {"tags": sorted(changes["tags"])}
        return {"changed": sorted(changes)} if now == changes else None

    def undo(self, context: Context, result: Any) -> None:
        self._apply(context, {k: v for k, v in context.before["values"].items() if v is not None})

    def _apply(self, context: Context, changes: dict[str, Any]) -> None:
        from novacron.specs import VMUpdate

        context.do("vm_update", changes=VMUpdate.parse(changes))


class TagStep(UpdateStep):
    """Adds and removes tags."""

    name = "tag"
    undo_description = "set the tags it had"

    def prepare(self, *, add: list[str], remove: list[str]) -> dict[str, Any]:  # type: ignore[override]
        from novacron.specs import VMUpdate

        VMUpdate.parse({"tags": [*add, *remove]})
        return {"add": sorted(add), "remove": sorted(remove)}

    def describe(self, arguments: dict[str, Any]) -> str:
        return "tag " + " ".join([*(f"+{t}" for t in arguments["add"]), *(f"-{t}" for t in arguments["remove"])])

    def effect(self, context: Context) -> str:
        tags = context.expected.tags
        tags |= set(context.arguments["add"])
        tags -= set(context.arguments["remove"])
        return f"tags: {', '.join(sorted(tags)) or 'none'}"

    def changes(self, context: Context) -> dict[str, Any]:
        tags = set(context.read().tags or ())
        return {"tags": sorted((tags | set(context.arguments["add"])) - set(context.arguments["remove"]))}


def known_snapshots(context: Context) -> set[str]:
    """Return the names of the snapshots that the VM is expected to have: those it has now, as the steps before change them."""
    expected = context.expected
    if expected.snapshots is None:
        try:
            expected.snapshots = (
                {s.name for s in context.ask("snapshot_list")} if context.host.supports("snapshot_list") else set()
            )
        except NotFoundError:
            expected.snapshots = set()  # planned for a host that it is not on yet
    return expected.snapshots


def _has(host: HostHandle, vm: str) -> bool:
    try:
        host.invoke("vm_get", vm=vm)
    except VMNotFoundError:
        return False
    return True


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def _summary(snapshot: Snapshot) -> dict[str, Any]:
    return {"name": snapshot.name, "host": snapshot.host, "created_at": snapshot.created_at, "memory": snapshot.memory}


BUILT_IN: dict[str, StepKind] = {
    kind.name: kind
    for kind in (
        *POWER_STEPS, MigrateStep(), SnapshotStep(), SnapshotUse("revert", "snapshot_revert", {}),
        SnapshotUse("delete_snapshot", "snapshot_delete", {"children": False}), UpdateStep(), TagStep(), KeepSnapshots(),
        *GUEST_STEPS, *COPY_STEPS,
    )
}  # fmt: skip

__all__ = ["BUILT_IN", "MigrateStep", "SnapshotStep", "SnapshotUse", "TagStep", "UpdateStep", "known_snapshots"]
