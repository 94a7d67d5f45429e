"""Steps that copy a VM, or move its disks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import AlreadyExistsError, InvalidSpecError, SpecProblem, VMNotFoundError, WorkflowError
from novacron.workflow.kinds import StepKind
from novacron.workflow.power import lacking

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.records.disks import Disk
    from novacron.records.vm import VM
    from novacron.workflow.context import Context


class CloneStep(StepKind):
    """Copies the stopped VM on its host; undone by deleting the copy."""

    name = "clone"
    undo_description = "delete the copy"

    def prepare(self, name: str, linked: bool | str = False) -> dict[str, Any]:  # type: ignore[override]
        from novacron.specs import VMSpec

        VMSpec(name=name)
        return {"name": name, "linked": str(linked).lower() == "true"}

    def describe(self, arguments: dict[str, Any]) -> str:
        return f"clone to {arguments['name']!r}" + (", linked" if arguments["linked"] else "")

    def check(self, context: Context) -> list[str]:
        problems, name = lacking(context, "vm_clone"), context.arguments["name"]
        if context.expected.status not in ("stopped", "crashed"):
            problems.append(f"{context.ref.name!r} will be {context.expected.status} then; clone needs stopped")
        if self._copy(context) is not None:
            problems.append(f"{context.ref.host} has a VM {name!r} already")
        return problems

    def effect(self, context: Context) -> str:
        return f"a new VM {context.arguments['name']!r} on {context.ref.host}"

    def before(self, context: Context) -> dict[str, Any]:
        if self._copy(context) is not None:
            raise AlreadyExistsError(
                f"a VM {context.arguments['name']!r} is already on {context.ref.host}", resource=context.ref.name
            )
        return {}

    def run(self, context: Context) -> dict[str, Any]:
        record = context.do("vm_clone", name=context.arguments["name"], linked=context.arguments["linked"])
        return {"name": record.name, "id": record.id, "host": record.host}

    def undo(self, context: Context, result: Any) -> None:
        try:
            context.host.invoke("vm_delete", vm=result["id"], keep_disks=False, force=False)
        except VMNotFoundError:
            pass  # gone already: that is the state before

    def probe(self, context: Context) -> Any:
        found = self._copy(context)
        return None if found is None else {"name": found.name, "id": found.id, "host": found.host}

    def _copy(self, context: Context) -> VM | None:
        try:
            found: VM = context.host.invoke("vm_get", vm=context.arguments["name"])
        except VMNotFoundError:
            return None
        return found


class MoveStorageStep(StepKind):
    """Moves the VM's disks to another storage pool, while it runs if it does; undone by moving them back."""

    name = "move_storage"
    undo_description = "move the disks back"

    def prepare(self, pool: str, disks: str | Sequence[str] = ()) -> dict[str, Any]:  # type: ignore[override]
        if not pool:
            raise InvalidSpecError("invalid step move_storage", problems=[SpecProblem("pool", pool, "a storage pool's name")])
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
                raise WorkflowError(f"nobody knows in which storage pool {disk.target} was", hint="move it by hand")
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


COPY_STEPS = (CloneStep(), MoveStorageStep())

__all__ = ["COPY_STEPS", "CloneStep", "MoveStorageStep", "pool_of"]
