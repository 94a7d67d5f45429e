"""The steps of a run as its journal tells of them: what people see, in this process and in any other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from novacron.text import printable_line
from novacron.units import format_duration
from novacron.workflow.nodes import StepNode, StepWords, VMRef, node_at, steps_of
from novacron.workflow.paths import Path
from novacron.workflow.run.journal import Entry

if TYPE_CHECKING:
    from novacron.workflow.nodes import AnyNode

StepStatus = Literal["waiting", "running", "done", "failed", "skipped", "undoing", "undone", "undo_failed"]

_MARKS = {
    "waiting": " ",
    "running": ">",
    "done": "+",
    "failed": "!",
    "skipped": "-",
    "undoing": "<",
    "undone": "<",
    "undo_failed": "X",
}


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a run. `error` and `undo_error` are as NovaCronError.as_dict, and `text`.

    `started_at` is in seconds since 1970, `seconds` how long it took, None before its end.
    """

    path: str
    description: str
    vm: str
    status: StepStatus = "waiting"
    result: Any = None
    error: dict[str, Any] | None = None
    undo_error: dict[str, Any] | None = None
    started_at: float | None = None
    seconds: float | None = None
    attempts: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        result: dict[str, Any] = msgspec.to_builtins(self)
        return result

    def __str__(self) -> str:
        return self.line()

    def line(self, *, named: bool = False) -> str:
        """Return the step in one line, with the name of its VM if `named`."""
        why = self.error or self.undo_error
        took = "" if self.seconds is None else f"  {format_duration(self.seconds)}"
        of = f"{self.vm}: " if named and self.vm else ""
        return printable_line(
            f"{_MARKS[self.status]} {of}{self.description}  {self.status}{took}{'  ' + str(why['text']) if why else ''}"
        )


def step_lines(steps: Sequence[StepRecord]) -> list[str]:
    """Return a line for each step. In a run of several VMs each line names its VM.

    Example:
        >>> steps = [StepRecord(path="1", description="stop", vm=vm, status="done") for vm in ("web1", "web2")]
        >>> step_lines(steps), step_lines(steps[:1])
        (['+ web1: stop  done', '+ web2: stop  done'], ['+ stop  done'])
    """
    named = len({step.vm for step in steps}) > 1
    return [step.line(named=named) for step in steps]


class StepRecords:
    """A flow's steps, brought up to date entry by entry. Each entry costs the same, however many steps there are."""

    def __init__(self, flow: AnyNode, vm: VMRef, words: StepWords) -> None:
        self._flow, self._vm, self._words = flow, vm, words
        self._records: dict[Path, StepRecord] = {}
        self._number: dict[Path, int] = {}
        self._inside: dict[Path, list[Path]] = defaultdict(list)
        self._count: Counter[str] = Counter()
        for path, node, target in steps_of(flow, vm):
            self._add(path, node, target)

    def all(self) -> tuple[StepRecord, ...]:
        """Return the steps in the order of the flow; what was only done after a failure comes last."""
        return tuple(self._records.values())

    def find(self, path: Path) -> tuple[int, StepRecord] | None:
        """Return a step's number from 1, and the step; None for a part that is no step."""
        shown = path.without_attempts()
        return (self._number[shown], self._records[shown]) if shown in self._records else None

    @property
    def over(self) -> int:
        """How many steps are behind the run, on its way there or back."""
        return self._count["done"] + self._count["failed"] + self._count["skipped"]

    @property
    def under_way(self) -> int:
        """How many steps are under way, there or back."""
        return self._count["running"] + self._count["undoing"]

    def __len__(self) -> int:
        return len(self._records)

    def apply(self, entry: Entry) -> None:
        """Bring the steps up to date with what happened."""
        path = entry.path.without_attempts()
        if entry.event == "started":
            if path not in self._records:
                node, vm = node_at(self._flow, entry.path, self._vm)
                assert isinstance(node, StepNode), path  # noqa: S101 - only steps are started
                self._add(path, node, vm)
            attempts = self._records[path].attempts + 1
            self._change(path, status="running", attempts=attempts, error=None, started_at=entry.at, seconds=None)
        elif entry.event in ("done", "failed"):
            if path in self._records and self._records[path].status == "running":
                began = self._records[path].started_at
                found = {"result": entry.data.get("result")} if entry.event == "done" else {"error": entry.data}
                self._change(path, status=entry.event, seconds=None if began is None else max(0.0, entry.at - began), **found)
            elif entry.event == "failed":  # refused before it began
                self._change(path, status="failed", error=entry.data)
        elif entry.event == "skipped":
            for inner in self._inside.get(path, ()) if path else list(self._records):
                self._change(inner, status="skipped")
        elif entry.event in ("undoing", "undone", "undo_failed"):
            error = {"undo_error": entry.data} if entry.event == "undo_failed" else {}
            for inner in self._undone_with(path):
                self._change(inner, status=entry.event, **error)
        elif entry.event == "resumed" and not entry.data.get("undo"):
            for inner, step in list(self._records.items()):
                if step.status in ("failed", "undone"):
                    self._change(inner, status="waiting")

    def _undone_with(self, path: Path) -> list[Path]:
        if path in self._records:
            return [path]
        known = ("done", "undoing", "undo_failed")
        return [inner for inner in self._inside.get(path / "body", ()) if self._records[inner].status in known]

    def _add(self, path: Path, node: StepNode, vm: VMRef) -> None:
        self._records[path] = StepRecord(path=str(path), description=self._words(node), vm=vm.name)
        self._number[path] = len(self._records)
        for outer in path.around():
            self._inside[outer].append(path)
        self._count["waiting"] += 1

    def _change(self, path: Path, **changes: Any) -> None:
        step = self._records.get(path)
        if step is not None:
            self._count[step.status] -= 1
            self._records[path] = step = msgspec.structs.replace(step, **changes)
            self._count[step.status] += 1


__all__ = ["StepRecord", "StepRecords", "StepStatus", "step_lines"]
