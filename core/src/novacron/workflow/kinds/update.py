"""Steps that change fields and tags of a VM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.power import lacking

if TYPE_CHECKING:
    from novacron.workflow.context import Context


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


__all__ = ["TagStep", "UpdateStep"]
