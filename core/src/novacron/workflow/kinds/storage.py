"""The step that moves a VM's disks to another storage pool."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, SpecProblem, WorkflowError
from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.power import lacking

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.records.disks import Disk
    from novacron.workflow.context import Context


class MigrateStorageStep(StepKind):
    """Moves the VM's disks to another storage pool, while it runs if it does; undone by moving them back."""

    name = "migrate_storage"
    frees = frozenset()
    undo_description = "move the disks back"

    def prepare(self, pool: str, disks: str | Sequence[str] = ()) -> dict[str, Any]:  # type: ignore[override]
        if not pool:
            raise InvalidSpecError("invalid step migrate_storage", problems=[SpecProblem("pool", pool, "a storage pool's name")])
        return {"pool": pool, "disks": [disks] if isinstance(disks, str) else list(disks)}

    def describe(self, arguments: dict[str, Any]) -> str:
        return f"move {', '.join(arguments['disks']) or 'all disks'} to the storage pool {arguments['pool']}"

    def check(self, context: Context) -> list[str]:
        problems, pool = lacking(context, "vm_migrate_storage"), context.arguments["pool"]
        known = {each.name for each in context.host.invoke("pool_list")}
        if pool not in known:
            problems.append(f"{context.ref.host} has no storage pool {pool!r}: there are {', '.join(sorted(known))}")
        return problems

    def effect(self, context: Context) -> str:
        return f"the disks are in {context.arguments['pool']}"

    def before(self, context: Context) -> dict[str, Any]:
        return {"pools": {disk.target: pool_of(context.host, disk) for disk in self._disks(context)}}

    def run(self, context: Context) -> dict[str, Any]:
        context.do("vm_migrate_storage", pool=context.arguments["pool"], disks=tuple(context.arguments["disks"]))
        return {"moved": sorted(t for t, pool in context.before["pools"].items() if pool != context.arguments["pool"])}

    def undo(self, context: Context, result: Any) -> None:
        back = defaultdict(list)
        for disk in self._disks(context):
            home = context.before["pools"].get(disk.target)
            if home is None:
                raise WorkflowError(f"the previous storage pool of {disk.target} is unknown", hint="migrate the disk yourself")
            if pool_of(context.host, disk) != home:
                back[home].append(disk.target)
        for pool, targets in sorted(back.items()):
            context.do("vm_migrate_storage", pool=pool, disks=tuple(targets))

    def probe(self, context: Context) -> Any:
        if any(pool_of(context.host, disk) != context.arguments["pool"] for disk in self._disks(context)):
            return None
        return {"moved": sorted(t for t, pool in context.before["pools"].items() if pool != context.arguments["pool"])}

    def _disks(self, context: Context) -> list[Disk]:
        wanted = context.arguments["disks"]
        return [d for d in context.read().disks or () if d.device == "disk" and (d.target in wanted or not wanted)]


def pool_of(host: HostHandle, disk: Disk) -> str | None:
    """Return the storage pool that a disk is in; where its record does not say, by its file."""
    if disk.pool:
        return disk.pool
    for pool in host.invoke("pool_list"):
        if pool.active and any(volume.path == disk.source for volume in host.invoke("volume_list", pool=pool.name)):
            return str(pool.name)
    return None


__all__ = ["MigrateStorageStep", "pool_of"]
