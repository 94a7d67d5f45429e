"""Any operation of the contract on a VM as a step, under the operation's own name: `steps.disk_resize(disk="vda", size=20 * 2**30)`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from novacron.dispatch.arguments import NEW_NAMES, mistake
from novacron.errors import HostConnectionError, InvalidSpecError, SpecProblem, either
from novacron.plugins.validation import argument_spec, declared, operations
from novacron.redaction import redacted
from novacron.units import parse_duration, parse_size
from novacron.workflow.kinds.base import NAMED, StepKind
from novacron.workflow.kinds.clone import taken
from novacron.workflow.kinds.power import STATUS_AFTER, gone, lacking

if TYPE_CHECKING:
    from novacron.hookspecs.operation import Operation
    from novacron.workflow.context import Context

LEFT_OUT = ("vm_migrate", "migration_check", "snapshot_check", "migration_tune", "console_open", "appliance_export", "vm_delete")
"""Operations that take or return what can't be stored, or after which there is no VM for further steps."""

TAKES = {
    "snapshot_create": ("snapshot", "spec", "name"),
    "vm_clone": ("VM", "name"),
    "vm_clone_instant": ("VM", "name"),
    "disk_attach": ("disk", "spec", "target"),
}
"""Operations that take a name: its kind, and where it is in the arguments."""

SIZE = "a size with its unit, such as 64MiB; a number without a unit is one of bytes in files and in Python"


class OperationStep(StepKind):
    """Does an operation. It has no undo of its own: give it one with `.undo(step)`."""

    def __init__(self, operation: Operation) -> None:
        self.name, self.operation = operation.name, operation
        self.can_probe = operation.idempotent  # doing it again changes nothing more

    @property
    def summary(self) -> str:
        return self.operation.summary

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the step is given."""
        return tuple(a for a in self.operation.arguments if a not in ("vm", "job"))

    def prepare(self, **arguments: Any) -> dict[str, Any]:
        problems = [SpecProblem(name, "missing", self._wanted(name)) for name in self.arguments if name not in arguments]
        problems += [
            SpecProblem(n, v, f"one of {', '.join(self.arguments) or 'nothing: it has no arguments'}")
            for n, v in arguments.items()
            if n not in self.arguments
        ]
        problems += [
            SpecProblem(name, "***", "no secret, for a flow is stored; write a step function that reads it")
            for name in arguments
            if redacted({name: "x"}) != {name: "x"}
        ]
        if problems:
            raise InvalidSpecError(f"invalid step {self.name}", problems=problems)
        found = {name: self._plain(name, value) for name, value in arguments.items()}
        wrong = {name: self._mistake(name, value) for name, value in found.items()}
        if problems := [SpecProblem(name, arguments[name], words) for name, words in wrong.items() if words]:
            raise InvalidSpecError(f"invalid step {self.name}", problems=problems)
        return found

    def _wanted(self, name: str) -> str:
        """Return what an argument is, in words."""
        if (spec := argument_spec(self.name, name)) is not None:
            return f"fields of {spec.__name__}, each as {name}.FIELD"
        return SIZE if self._is_size(name) else self._mistake(name, object()) or "a value"

    def _mistake(self, name: str, value: Any) -> str:
        """Return what is wanted instead of a plain value; "" if it fits."""
        kind = self.operation.types.get(name, "")
        if argument_spec(self.name, name) is not None or (kind == "bytes" and isinstance(value, str)):
            return ""
        return (SIZE if self._is_size(name) else mistake(kind, value)) if mistake(kind, value) else ""

    def _is_size(self, name: str) -> bool:
        return name == "size" and self.operation.types.get(name) == "int"

    def _meant(self, name: str, text: str) -> Any:
        """Return the value that a text from a command line means; the text if it means none."""
        kind = self.operation.types.get(name, "")
        if kind == "bool":
            return {"true": True, "false": False}.get(text.lower(), text)
        try:
            if kind in ("list[str]", "tuple[str, ...]"):
                return shlex.split(text) if name == "argv" else [part.strip() for part in text.split(",")]
            if self._is_size(name):
                return text if text.replace(".", "", 1).isdigit() else parse_size(text)  # a bare number is a mistake
            if kind == "float":
                return parse_duration(text)
        except ValueError:  # an InvalidValueError, or that of shlex: a quotation is not closed
            return text
        return int(text) if kind == "int" and text.isdecimal() else text

    def _plain(self, name: str, value: Any) -> Any:
        spec = argument_spec(self.name, name)
        if spec is not None:
            return spec.parse(value).as_dict()
        if isinstance(value, str):
            return self._meant(name, value)
        if isinstance(value, list) and self.operation.types.get(name, "").startswith("dict"):
            return {
                str(number): each for number, each in enumerate(value)
            }  # of a command line, where numbers are places in a list
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                problem = SpecProblem(name, f"{len(value)} bytes", "text in UTF-8")
                raise InvalidSpecError(f"invalid step {self.name}", problems=[problem]) from None
        return list(value) if isinstance(value, tuple) else value

    def _given(self, name: str, value: Any) -> Any:
        spec = argument_spec(self.name, name)
        if spec is not None:
            return spec.parse(value)
        if isinstance(value, str) and "bytes" in declared(self.name, name):
            return value.encode()
        return tuple(value) if isinstance(value, list) else value

    @property
    def frees(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset() if self.operation.reads or self.name in (*STATUS_AFTER, *TAKES) else NAMED

    def takes(self, arguments: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        what, *path = TAKES.get(self.name, ("",))
        found: Any = arguments if path else None
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        return ((what, found),) if isinstance(found, str) and "{" not in found else ()

    def check(self, context: Context) -> list[str]:
        problems, statuses = lacking(context, self.name), self.operation.statuses
        status = context.expected.status
        if statuses and ("stopped" if status == "crashed" else status) not in statuses:
            problems.append(f"{context.ref.name!r} will be {status} then; {self.name} needs {either(statuses)}")
        if STATUS_AFTER.get(self.name) == "stopped" and not context.expected.persistent:
            problems.append(gone(context.ref.name))
        if self.name in NEW_NAMES:
            problems += taken(context, context.arguments["name"])
        return problems

    def effect(self, context: Context) -> str:
        context.expected.status = STATUS_AFTER.get(self.name, context.expected.status)
        if self.name in NEW_NAMES:
            context.expected.named.add((context.ref.host, context.arguments["name"]))
        return self.operation.summary

    def run(self, context: Context) -> Any:
        given: dict[str, Any] = {name: self._given(name, value) for name, value in context.arguments.items()}
        if self.operation.reads:
            return context.ask(self.name, **given)
        try:
            return context.do(self.name, None, **given)
        except HostConnectionError as error:
            if not self.can_probe and error.outcome != "not_sent":
                error.outcome = "unknown"  # the connection broke once it was asked for
            raise


def operation_kinds() -> dict[str, StepKind]:
    """Return a kind for each operation on a VM whose arguments are plain values."""
    return {
        operation.name: OperationStep(operation)
        for operation in operations().values()
        if "vm" in operation.arguments and operation.name not in LEFT_OUT
    }


__all__ = ["OperationStep", "operation_kinds"]
