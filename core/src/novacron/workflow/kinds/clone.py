"""The step that copies a VM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import AlreadyExistsError, VMNotFoundError
from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.power import lacking

if TYPE_CHECKING:
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


__all__ = ["CloneStep"]
