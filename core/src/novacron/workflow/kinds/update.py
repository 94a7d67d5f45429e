"""Steps that change fields and tags of a VM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.redaction import redacted
from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.power import lacking

if TYPE_CHECKING:
    from novacron.workflow.context import Context


class UpdateStep(StepKind):
    """Changes fields of the VM; undone by the values they had."""

    name = "update"
    frees = frozenset()
    undo_description = "set the values it had"

    def prepare(self, **changes: Any) -> dict[str, Any]:
        from novacron.specs import VMUpdate

        return VMUpdate.parse(changes).as_dict()

    def describe(self, arguments: dict[str, Any]) -> str:
        return f"update {', '.join(sorted(arguments))}"

    def check(self, context: Context) -> list[str]:
        return lacking(context, "vm_update")

    def effect(self, context: Context) -> str:
        return ", ".join(f"{k} = {v!r}" for k, v in sorted(redacted(context.arguments).items()))

    def before(self, context: Context) -> dict[str, Any]:
        from novacron.handles.changes import configuration_of, following

        changes = self.changes(context)
        return {"values": self._present(context, changes) | following(configuration_of(context.vm()).fields, changes)}

    def _present(self, context: Context, changes: dict[str, Any]) -> dict[str, Any]:
        """Return the present values of the fields that change; of metadata only the keys that change."""
        from novacron.handles.changes import configuration_of

        fields = configuration_of(context.vm()).fields
        found = {name: fields.get(name) for name in changes}
        if "metadata" in found:  # merged by the driver, None removes a key
            found["metadata"] = {key: (found["metadata"] or {}).get(key) for key in changes["metadata"]}
        return found

    def changes(self, context: Context) -> dict[str, Any]:
        """The changes as plain values."""
        return context.arguments

    def run(self, context: Context) -> dict[str, Any]:
        with context.changing:
            changes = self.changes(context)
            self._apply(context, changes)
        return {"changed": sorted(changes)}

    def probe(self, context: Context) -> Any:
        changes = self.changes(context)
        present = self._present(context, changes) | _sizes_in_force(context)
        return {"changed": sorted(changes)} if all(_equal(present[name], value) for name, value in changes.items()) else None

    def undo(self, context: Context, result: Any) -> None:
        from novacron.specs.vm import HARDWARE

        before = context.before["values"]
        self._apply(context, {name: value for name, value in before.items() if value is not None or name in HARDWARE})

    def _apply(self, context: Context, changes: dict[str, Any]) -> None:
        from novacron.specs import VMUpdate

        context.do("vm_update", changes=VMUpdate.parse(changes))


def _sizes_in_force(context: Context) -> dict[str, Any]:
    """Return the vCPUs and memory of a running VM. Its definition has new values before the guest follows, which it may never do."""
    record = context.read()
    return {"vcpus": record.vcpus, "memory": record.memory_bytes} if record.status == "running" else {}


def _equal(present: Any, asked: Any) -> bool:
    """Whether a field has the value that was asked for; parts of a nested value that were not given do not count."""
    if isinstance(present, dict) and isinstance(asked, dict):
        return all(_equal(present.get(name), value) for name, value in asked.items())
    if isinstance(present, (list, tuple)) and isinstance(asked, (list, tuple)):
        return sorted(map(str, present)) == sorted(map(str, asked))
    return bool(present == asked or (not present and not asked))


class TagStep(UpdateStep):
    """Adds and removes tags; undone for these tags, others stay as they are then."""

    name = "tag"
    frees = frozenset()
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

    def undo(self, context: Context, result: Any) -> None:
        had = set(context.before["values"]["tags"] or ())
        added, removed = set(context.arguments["add"]) - had, set(context.arguments["remove"]) & had
        with context.changing:
            self._apply(context, {"tags": sorted((set(context.read().tags or ()) - added) | removed)})


__all__ = ["TagStep", "UpdateStep"]
