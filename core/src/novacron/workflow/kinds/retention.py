"""The step that deletes the snapshots that need not be kept."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from novacron.errors import InvalidSpecError, SnapshotNotFoundError, SpecProblem
from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.power import lacking
from novacron.workflow.retention import BUCKETS, chosen

if TYPE_CHECKING:
    from novacron.records.snapshots import Snapshot
    from novacron.workflow.context import Context


ALLOWED = ("last", *BUCKETS)


class KeepSnapshots(StepKind):
    """Deletes the VM's snapshots whose names begin with a prefix, except for those to keep. Can't be undone."""

    name = "keep_snapshots"

    def prepare(self, prefix: str, timezone: str = "", **counts: Any) -> dict[str, Any]:  # type: ignore[override]
        allowed = ALLOWED
        found: dict[str, int] = {}
        problems = []
        for name, count in counts.items():
            if name not in allowed or not str(count).isdecimal():
                problems.append(SpecProblem(name, str(count), f"a whole number of {', '.join(allowed)}"))
            else:
                found[name] = int(count)
        try:
            ZoneInfo(timezone or "UTC")
        except (ValueError, OSError, LookupError):
            problems.append(SpecProblem("timezone", timezone, "a name such as Europe/Berlin"))
        if not prefix:
            problems.append(SpecProblem("prefix", repr(prefix), "what the names of the snapshots begin with"))
        if not problems and not any(found.values()):
            problems.append(SpecProblem("last", "0", f"at least 1 of {', '.join(allowed)}: all would be deleted"))
        if problems:
            raise InvalidSpecError("invalid step keep_snapshots", problems=problems)
        return {"prefix": prefix, **({"timezone": timezone} if timezone else {}), **found}

    def describe(self, arguments: dict[str, Any]) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in arguments.items() if name in ALLOWED)
        return f"keep {counts} of the snapshots {arguments['prefix']}*"

    def check(self, context: Context) -> list[str]:
        return lacking(context, "snapshot_list", "snapshot_delete")

    def effect(self, context: Context) -> str:
        names = [snapshot.name for snapshot in self._superfluous(context)]
        return f"deletes {', '.join(names)}, as it is now" if names else "deletes nothing, as it is now"

    def run(self, context: Context) -> dict[str, Any]:
        deleted = []
        for snapshot in self._superfluous(context):
            try:
                context.do("snapshot_delete", snapshot=snapshot.id or snapshot.name, children=False)
            except SnapshotNotFoundError:
                continue  # somebody else was quicker
            deleted.append(snapshot.name)
        return {"deleted": deleted}

    def _superfluous(self, context: Context) -> list[Snapshot]:
        counts = {k: v for k, v in context.arguments.items() if k in ALLOWED}
        zone = ZoneInfo(context.arguments["timezone"]) if context.arguments.get("timezone") else None
        mine = [
            (datetime.fromisoformat(snapshot.created_at), snapshot)
            for snapshot in context.ask("snapshot_list")
            if snapshot.name.startswith(context.arguments["prefix"]) and snapshot.created_at
        ]
        mine.sort(key=lambda item: (item[0], len(item[1].name), item[1].name))  # of one second, "x-2" is later than "x"
        keep = chosen(((at, snapshot.id or snapshot.name) for at, snapshot in mine), **counts, zone=zone)
        return [snapshot for _, snapshot in mine if (snapshot.id or snapshot.name) not in keep]


__all__ = ["KeepSnapshots"]
