"""Steps inside the guest, through its agent: a program, and waiting until the guest is well."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import (
    GuestAgentError,
    HostConnectionError,
    InvalidSpecError,
    OperationTimeoutError,
    SpecProblem,
    WorkflowError,
)
from novacron.redaction import redacted
from novacron.units import parse_duration
from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.power import lacking

if TYPE_CHECKING:
    from novacron.workflow.context import Context

SHOWN = 400
"""Characters of a program's output that a result or an error has."""
POLL = 1.0


def words(command: str | Sequence[str]) -> list[str]:
    """Return a command's words; text is split as a shell would, and nothing in it is expanded.

    Example:
        >>> words("apt-get -y -o 'A=b c' upgrade")
        ['apt-get', '-y', '-o', 'A=b c', 'upgrade']
    """
    try:
        found = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    except ValueError as error:
        raise InvalidSpecError("invalid command", problems=[SpecProblem("command", command, str(error))]) from None
    if not found:
        raise InvalidSpecError("invalid command", problems=[SpecProblem("command", command, "a program and its arguments")])
    return found


class RunInGuestStep(StepKind):
    """Runs a program in the guest, without a shell; an exit status other than 0 is a failure."""

    name = "run_in_guest"
    frees = frozenset()
    can_probe = False

    def prepare(self, command: str | Sequence[str], timeout: float | str = "10m") -> dict[str, Any]:  # type: ignore[override]
        return {"command": words(command), "timeout": parse_duration(timeout)}

    def describe(self, arguments: dict[str, Any]) -> str:
        return f"run {shlex.join(arguments['command'])!r} in the guest"

    def check(self, context: Context) -> list[str]:
        problems = lacking(context, "guest_exec")
        if context.expected.status != "running":
            problems.append(f"{context.ref.name!r} will be {context.expected.status} then; its guest has to run")
        return problems

    def effect(self, context: Context) -> str:
        return "what the program does"

    def run(self, context: Context) -> dict[str, Any]:
        seconds = context.arguments["timeout"]
        found = _execute(context, context.arguments["command"], seconds)
        said = found.stdout.decode(errors="replace"), found.stderr.decode(errors="replace")
        if found.exit_status != 0:
            raise WorkflowError(
                f"{self.describe(redacted(context.arguments))}: exit status {found.exit_status}: {(said[1] or said[0]).strip()[-SHOWN:]}",
                resource=context.ref.name,
                hint="look at what the program says",
            )
        return {"exit_status": 0, "stdout": said[0][-SHOWN:], "stderr": said[1][-SHOWN:]}


class HealthyStep(StepKind):
    """Waits until the guest's agent answers, and until a program of the guest's says 0, if one is given."""

    name = "healthy"
    frees = frozenset()
    undo_description = "nothing: it changed nothing"

    def prepare(self, within: float | str = "5m", check: str | Sequence[str] = ()) -> dict[str, Any]:  # type: ignore[override]
        return {"within": parse_duration(within), "check": words(check) if check else []}

    def describe(self, arguments: dict[str, Any]) -> str:
        asked = f"{shlex.join(arguments['check'])!r} succeeds" if arguments["check"] else "the guest answers"
        return f"wait until {asked}"

    def check(self, context: Context) -> list[str]:
        return lacking(context, "guest_info", *(["guest_exec"] if context.arguments["check"] else []))

    def effect(self, context: Context) -> str:
        return f"at most {context.arguments['within']:g} s"

    def run(self, context: Context) -> dict[str, Any]:
        began, within, said = time.monotonic(), context.arguments["within"], "it has not answered"
        while True:
            try:
                said = self._ill(context)
            except GuestAgentError as error:
                said = str(error)
            waited = time.monotonic() - began
            if not said:
                return {"seconds": round(waited, 1)}
            if waited > within:
                raise OperationTimeoutError(
                    f"{context.ref.name!r} is not well after {within:g} s: {said}",
                    resource=context.ref.name,
                    outcome="failed",
                    hint="look at its console",
                )
            context.report(said, min(1.0, waited / within))
            context.wait(POLL)

    def undo(self, context: Context, result: Any) -> None:
        pass

    def _ill(self, context: Context) -> str:
        """Return what is wrong with the guest, nothing when it is well."""
        context.ask("guest_info")
        if not context.arguments["check"]:
            return ""
        found = _execute(context, context.arguments["check"], 60.0)
        return (
            ""
            if found.exit_status == 0
            else f"exit status {found.exit_status}: {found.stderr.decode(errors='replace').strip()[-SHOWN:]}"
        )


def _execute(context: Context, command: list[str], seconds: float) -> Any:
    """Run a program in the guest. If the connection breaks after the request, the outcome is unknown."""
    try:
        return context.do("guest_exec", seconds + 30, argv=command, stdin=b"", seconds=seconds)
    except HostConnectionError as error:
        if error.outcome != "not_sent":
            error.outcome = "unknown"
        raise


class NothingStep(StepKind):
    """Does nothing: a way back for what needs none, `steps.run_in_guest(...).undo(steps.nothing())`."""

    name = "nothing"
    frees = frozenset()
    undo_description = "nothing"

    def prepare(self) -> dict[str, Any]:  # type: ignore[override]
        return {}

    def run(self, context: Context) -> dict[str, Any]:
        return {}

    def undo(self, context: Context, result: Any) -> None:
        pass


__all__ = ["HealthyStep", "NothingStep", "RunInGuestStep", "words"]
