"""Steps that change a VM's status, and the way back to any status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, InvalidStateError, SpecProblem, either
from novacron.workflow.kinds.base import StepKind

if TYPE_CHECKING:
    from novacron.workflow.context import Context

_WAYS = {
    ("stopped", "running"): "vm_start",
    ("saved", "running"): "vm_start",
    ("crashed", "running"): "vm_start",
    ("suspended", "running"): "vm_resume",
    ("running", "suspended"): "vm_suspend",
    ("running", "stopped"): "vm_stop",
    ("suspended", "stopped"): "vm_stop",
    ("crashed", "stopped"): "vm_stop",
    ("running", "saved"): "vm_save",
    ("suspended", "saved"): "vm_save",
}

STATUS_AFTER = {
    "vm_start": "running",
    "vm_resume": "running",
    "vm_restore": "running",
    "vm_reboot": "running",
    "vm_reset": "running",
    "vm_shutdown": "stopped",
    "vm_stop": "stopped",
    "vm_suspend": "suspended",
    "vm_save": "saved",
}
"""The status of a VM after each operation that sets it."""


def gone(name: str) -> str:
    """Return why a workflow does not stop a transient VM: neither a later step nor the undo would find it."""
    return f"{name!r} is transient: it has no definition, and is gone once it stops"


def bring_to(context: Context, status: str) -> None:
    """Bring the VM to a status, through "running" where no operation leads there directly; "crashed" is treated as "stopped".

    Raises:
        InvalidStateError: no operations lead there.
    """
    status = "stopped" if status == "crashed" else status
    for _ in range(3):
        now = context.read().status
        if now == status:
            return
        operation = _WAYS.get((now, status)) or _WAYS.get((now, "running"))
        if operation is None:
            raise InvalidStateError(f"{context.ref.name!r} is {now}; no way leads to {status}", resource=context.ref.name)
        context.do(operation)


class PowerStep(StepKind):
    """Brings the VM to a status with one operation; nothing to do when it is there already.

    Args:
        name: the kind's name.
        operation: the hook's name.
        sources: the statuses from which the operation leads to `target`.
        target: the status after it.
        undo_description: how it is undone.
    """

    frees = frozenset()

    def __init__(self, name: str, operation: str, sources: tuple[str, ...], target: str, undo_description: str) -> None:
        self.name, self.operation, self.sources, self.target = name, operation, sources, target
        self.undo_description = undo_description

    def check(self, context: Context) -> list[str]:
        problems = lacking(context, self.operation)
        status = context.expected.status
        if status != self.target and status not in self.sources:
            problems.append(f"{context.ref.name!r} will be {status} then; {self.name} needs {either(self.sources)}")
        if self.target == "stopped" and status != self.target and not context.expected.persistent:
            problems.append(gone(context.ref.name))
        return problems

    def effect(self, context: Context) -> str:
        status, context.expected.status = context.expected.status, self.target
        if status == self.target:
            return f"nothing: it is {status} then"
        return f"{status} -> {self.target}"

    def before(self, context: Context) -> dict[str, Any]:
        record = context.read()
        if self.target == "stopped" and record.status != self.target and record.persistent is False:
            raise InvalidStateError(gone(record.name), resource=record.name, hint=f"`novacron vm stop {record.name}` ends it")
        return {"status": record.status}

    def run(self, context: Context) -> dict[str, Any]:
        if context.before["status"] == self.target:
            return {"status": self.target, "changed": False}
        record = self.act(context)
        return {"status": record.status, "changed": True}

    def act(self, context: Context) -> Any:
        """Do the operation."""
        return context.do(self.operation)

    def undo(self, context: Context, result: Any) -> None:
        if result and not result["changed"]:
            return
        bring_to(context, context.before["status"])

    def probe(self, context: Context) -> Any:
        status = context.read().status
        return {"status": status, "changed": status != context.before["status"]} if status == self.target else None


class ShutdownStep(PowerStep):
    """Asks the guest to shut down."""

    def prepare(self, timeout: float | str = 60, otherwise: str = "fail") -> dict[str, Any]:  # type: ignore[override]
        from novacron.units import parse_duration

        problems = [] if otherwise in ("fail", "stop") else [SpecProblem("otherwise", otherwise, "'fail' or 'stop'")]
        try:
            seconds = parse_duration(timeout)
        except ValueError:
            problems.append(SpecProblem("timeout", str(timeout), "a duration such as 60 or 5m"))
        if problems:
            raise InvalidSpecError("invalid step shutdown", problems=problems)
        return {"timeout": seconds, "otherwise": otherwise}

    def describe(self, arguments: dict[str, Any]) -> str:
        return "shutdown"

    def act(self, context: Context) -> Any:
        seconds = context.arguments["timeout"]
        return context.do("vm_shutdown", seconds + 30, seconds=seconds, otherwise=context.arguments["otherwise"])


def lacking(context: Context, *operations: str) -> list[str]:
    """Return the problems of a host that lacks operations."""
    host = context.host
    return [f"{host.name} (driver {host.driver_name!r}) does not offer {o}" for o in operations if not host.supports(o)]


POWER_STEPS = (
    PowerStep("start", "vm_start", ("stopped", "saved", "crashed"), "running", "bring it back to the status it had"),
    ShutdownStep("shutdown", "vm_shutdown", ("running",), "stopped", "start it again"),
    PowerStep("stop", "vm_stop", ("running", "suspended", "crashed"), "stopped", "start it again (its memory is lost)"),
    PowerStep("suspend", "vm_suspend", ("running",), "suspended", "resume it"),
    PowerStep("resume", "vm_resume", ("suspended",), "running", "suspend it again"),
)

__all__ = ["POWER_STEPS", "STATUS_AFTER", "PowerStep", "ShutdownStep", "bring_to", "gone", "lacking"]
