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
    frees = frozenset()

    def prepare(self, name: str, linked: bool | str = False) -> dict[str, Any]:  # type: ignore[override]
        from novacron.specs import VMSpec

        VMSpec(name=name)
        return {"name": name, "linked": str(linked).lower() == "true"}

    def takes(self, arguments: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        return () if "{" in arguments["name"] else (("VM", arguments["name"]),)

    def describe(self, arguments: dict[str, Any]) -> str:
        return f"clone to {arguments['name']!r}" + (", linked" if arguments["linked"] else "")

    def check(self, context: Context) -> list[str]:
        problems, name = lacking(context, "vm_clone"), context.arguments["name"]
        if context.expected.status not in ("stopped", "crashed"):
            problems.append(f"{context.ref.name!r} will be {context.expected.status} then; clone needs stopped")
        return problems + taken(context, name)

    def effect(self, context: Context) -> str:
        context.expected.named.add((context.ref.host, context.arguments["name"]))
        return f"a new VM {context.arguments['name']!r} on {context.ref.host}"

    def before(self, context: Context) -> dict[str, Any]:
        if _named(context, context.arguments["name"]) is not None:
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
        found = _named(context, context.arguments["name"])
        return None if found is None else {"name": found.name, "id": found.id, "host": found.host}


def taken(context: Context, name: str) -> list[str]:
    """Return why the VM's host can't get a new VM of this name: it has one, or will have one after the steps before."""
    if _named(context, name) is not None:
        return [f"{context.ref.host} has a VM {name!r} already"]
    if (context.ref.host, name) in context.expected.named:
        return [f"an earlier step creates a VM {name!r} on {context.ref.host}"]
    return []


def _named(context: Context, name: str) -> VM | None:
    try:
        found: VM = context.host.invoke("vm_get", vm=name)
    except VMNotFoundError:
        return None
    return found


__all__ = ["CloneStep", "taken"]
