"""Steps that take, revert to and delete snapshots."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, NotFoundError, SnapshotNotFoundError, SpecProblem
from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.power import lacking

if TYPE_CHECKING:
    from novacron.records.snapshots import Snapshot
    from novacron.specs import SnapshotSpec
    from novacron.workflow.context import Context

TIME = "{time}"
"""In a snapshot's name: when the step began, "20261124T160501Z"."""


class SnapshotStep(StepKind):
    """Takes a snapshot; undone by deleting it."""

    name = "snapshot"
    frees = frozenset()

    def prepare(self, name: str, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        from novacron.specs import SnapshotSpec

        return SnapshotSpec.parse({"name": name.replace(TIME, _now()), **options}).as_dict() | {"name": name}

    def takes(self, arguments: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        return () if "{" in arguments["name"] else (("snapshot", arguments["name"]),)

    def describe(self, arguments: dict[str, Any]) -> str:
        return f"snapshot {arguments['name']!r}"

    def describe_undo(self, arguments: dict[str, Any]) -> str:
        return f"delete the snapshot {arguments['name']!r}"

    def check(self, context: Context) -> list[str]:
        problems = lacking(context, "snapshot_create")
        if not context.host.supports("snapshot_delete"):
            context.note(f"{context.host.name} does not offer snapshot_delete: it could not be undone")
        if any(name == self.name_of(context) for name, _ in known_snapshots(context)):
            problems.append(f"{context.ref.name!r} will have a snapshot {self.name_of(context)!r} already")
        if context.expected.here and context.host.supports("snapshot_check"):
            problems += context.ask("snapshot_check", spec=self._spec(context), status=context.expected.status)
        return problems

    def effect(self, context: Context) -> str:
        known_snapshots(context).append((self.name_of(context), None))
        return f"a new snapshot {self.name_of(context)!r} on {context.ref.host}"

    def run(self, context: Context) -> dict[str, Any]:
        return _summary(context.do("snapshot_create", spec=self._spec(context)))

    def undo(self, context: Context, result: Any) -> None:
        try:
            context.do("snapshot_delete", snapshot=self.name_of(context), children=False)
        except SnapshotNotFoundError:
            pass  # gone already: that is the state before

    def before(self, context: Context) -> dict[str, Any]:
        template, listed = str(context.arguments["name"]), context.host.supports("snapshot_list")
        taken = {snapshot.name for snapshot in context.ask("snapshot_list")} if listed else set[str]()
        name = template.replace(TIME, _now())
        if TIME in template:  # several may be taken within a second
            name = next(n for n in chain([name], (f"{name}-{number}" for number in count(2))) if n not in taken)
        return {"name": name, "existed": name in taken} if listed else {"name": name}

    def probe(self, context: Context) -> Any:
        if context.before.get("existed"):
            return None  # the one that is there is not ours
        found = self._get(context)
        return None if found is None else _summary(found)

    def name_of(self, context: Context) -> str:
        """The snapshot's name; the time in it is that of the step's beginning, however often its process ends."""
        return str(context.before.get("name") or str(context.arguments["name"]).replace(TIME, _now()))

    def _spec(self, context: Context) -> SnapshotSpec:
        from novacron.specs import SnapshotSpec

        return SnapshotSpec.parse(context.arguments | {"name": self.name_of(context)})

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
        named = _named(context, name)
        if not named:
            problems.append(f"{context.ref.name!r} will have no snapshot {name!r}")
        if len(named) > 1:
            ids = ", ".join(str(key) for _, key in named)
            problems.append(f"{context.ref.name!r} will have {len(named)} snapshots named {name!r}; name one by its id: {ids}")
        return problems

    def effect(self, context: Context) -> str:
        if self.name == "revert":
            return "disks, and memory where the snapshot has it, as they were then"
        for deleted in _named(context, context.arguments["name"])[:1]:
            known_snapshots(context).remove(deleted)
        return "the snapshot is gone"

    def probe(self, context: Context) -> Any:
        if self.name == "revert" or any(s.name == context.arguments["name"] for s in context.ask("snapshot_list")):
            return None  # reverting twice is as reverting once
        return {"status": context.read().status}

    def run(self, context: Context) -> dict[str, Any]:
        extra = {k: context.arguments[k] for k in self.extra}
        record = context.do(self.operation, snapshot=context.arguments["name"], **extra)
        return {"status": record.status}


def known_snapshots(context: Context) -> list[tuple[str, str | None]]:
    """Return name and id of the snapshots that the VM is expected to have: those it has now, as the steps before change them."""
    expected = context.expected
    if expected.snapshots is None:
        try:
            listed = context.ask("snapshot_list") if context.host.supports("snapshot_list") else ()
        except NotFoundError:
            listed = ()  # planned for a host that it is not on yet
        expected.snapshots = [(snapshot.name, snapshot.id) for snapshot in listed]
    return expected.snapshots


def _named(context: Context, text: str) -> list[tuple[str, str | None]]:
    """Return the expected snapshots that a text means, as drivers understand it: those of that name, otherwise the one with that id."""
    known = known_snapshots(context)
    return [each for each in known if each[0] == text] or [each for each in known if each[1] == text]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def _summary(snapshot: Snapshot) -> dict[str, Any]:
    return {"name": snapshot.name, "host": snapshot.host, "created_at": snapshot.created_at, "memory": snapshot.memory}


__all__ = ["TIME", "SnapshotStep", "SnapshotUse", "known_snapshots"]
