"""What a run would do: every step with its pre-checks, what it changes, how it is undone. Nothing is changed by planning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from novacron.errors import NovaCronError
from novacron.workflow.composition import Workflow, reference
from novacron.workflow.context import Context, Expected, Hosts, Place
from novacron.workflow.describing import condition_text, describe, describe_step
from novacron.workflow.kinds import KINDS
from novacron.workflow.nodes import (
    AnyNode,
    EachNode,
    OnFailureNode,
    ParallelNode,
    RetryNode,
    SequenceNode,
    StepNode,
    ThenNode,
    TimeoutNode,
    UndoNode,
    VMRef,
    WhenNode,
)
from novacron.workflow.results import references

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step as it would be done. `undo` is None when it can't be undone; `conditions` are in words, outermost first."""

    number: int
    vm: str
    host: str
    description: str
    changes: str = ""
    undo: str | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    skipped: bool = False

    def __str__(self) -> str:
        lines = [f"{self.number}. {self.description}{' (skipped)' if self.skipped else ''}"]
        lines += [f"     only {c}" if c.startswith(("when", "if")) else f"     {c}" for c in self.conditions]
        if not self.skipped:
            lines.append(f"     on        {self.host}")
            lines += [f"     changes   {self.changes}"] if self.changes else []
            lines.append(f"     undo      {self.undo or 'CAN NOT BE UNDONE'}")
            lines += [f"     PROBLEM   {p}" for p in self.problems] or ["     checks    ok"]
            lines += [f"     note      {n}" for n in self.notes]
        return "\n".join(lines)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do; `print(plan)` shows it."""

    name: str
    flow: str
    vms: tuple[VMRef, ...]
    steps: tuple[PlannedStep, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing stands against any step."""
        return not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """All that stands against it, with the steps' numbers."""
        return tuple(f"step {s.number}, {s.description}: {p}" for s in self.steps for p in s.problems)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        result: dict[str, Any] = msgspec.to_builtins(self)
        return result | {"ok": self.ok}

    def __str__(self) -> str:
        names = ", ".join(f"{v.name or v.id} on {v.host}" for v in self.vms)
        head = f"Plan {f'{self.name!r} ' if self.name else ''}for {names}: {len(self.steps)} steps"
        count = len(self.problems)
        foot = "Nothing stands against it." if self.ok else f"{count} problem{'s' if count > 1 else ''}: it would fail."
        body = []
        shown = None
        for step in self.steps:
            if len(self.vms) > 1 and step.vm != shown:
                body.append(f"{step.vm}:")
                shown = step.vm
            body.append(f"  {step}".replace("\n", "\n  "))
        return "\n".join([head, *body, foot])


class _Planner:
    def __init__(self, hosts: Hosts) -> None:
        self.hosts, self.steps = hosts, list[PlannedStep]()
        self._named = set[str]()

    def walk(self, node: AnyNode, place: Place, expected: Expected, conditions: tuple[str, ...] = (), skip: bool = False) -> None:
        if isinstance(node, StepNode):
            self._step(node, place, expected, conditions, skip)
        elif isinstance(node, (SequenceNode, ParallelNode)):
            if isinstance(node, ParallelNode):
                conditions = (*conditions, "at the same time as others")
            for inner in node.nodes:
                self.walk(inner, place, expected, conditions, skip)
        elif isinstance(node, EachNode):
            for vm in node.vms:
                there = Place(vm)
                self.walk(node.body, there, Expected(Context(self.hosts, there, {}).read()), conditions, skip)
        elif isinstance(node, WhenNode):
            holds = _holds(node, place, expected)
            self.walk(node.body, place, expected, (*conditions, f"when {condition_text(node)}"), skip or holds is False)
        elif isinstance(node, UndoNode):
            first = len(self.steps)
            self.walk(node.body, place, expected, conditions, skip)
            for index in range(first, len(self.steps)):
                self.steps[index] = msgspec.structs.replace(self.steps[index], undo=describe(node.undo))
        else:
            self.walk(node.body, place, expected, (*conditions, *_words(node)), skip)

    def _step(self, node: StepNode, place: Place, expected: Expected, conditions: tuple[str, ...], skip: bool) -> None:
        host, context = place.vm.host, Context(self.hosts, place, node.arguments, expected=expected)
        problems, changes, undo = list[str](), "", None
        try:
            kind = KINDS.find(node.kind)
            undo = kind.describe_undo(node.arguments)
            used = set(references(node.arguments))
            if unknown := sorted(used - self._named):
                problems = [f"no step before it is named {name!r}" for name in unknown]
            elif used:
                context.note("it uses results of steps before it, so that it can only be checked then")
            elif not skip:
                problems = kind.check(context)
                changes = kind.effect(context)
        except NovaCronError as error:
            problems.append(str(error))
        self._named |= {node.name} - {""}
        self.steps.append(
            PlannedStep(
                number=len(self.steps) + 1, vm=place.vm.name or place.vm.id, host=host, description=describe_step(node),
                changes=changes, undo=undo, problems=tuple(problems), notes=tuple(context.notes), conditions=conditions, skipped=skip,
            )
        )  # fmt: skip


def make_plan(flow: Workflow, vms: list[VMHandle], hosts: Mapping[str, HostHandle] | None) -> Plan:
    """Return the plan of a flow for VMs."""
    known = Hosts(hosts or {}, {vm.host.name: vm.host for vm in vms}, flow.hosts)
    planner = _Planner(known)
    try:
        for vm in vms:
            place = Place(reference(vm))
            planner.walk(flow.node, place, Expected(Context(known, place, {}).read()))
    finally:
        known.close()
    return Plan(name=flow.name, flow=describe(flow.node), vms=tuple(reference(vm) for vm in vms), steps=tuple(planner.steps))


def _holds(node: WhenNode, place: Place, expected: Expected) -> bool | None:
    """Return whether a condition will hold as far as can be told, None for a function's."""
    if node.function is not None:
        return None
    known: dict[str, Any] = {"status": expected.status, "host": place.vm.host, "name": place.vm.name}
    return all(v in expected.tags if k == "tag" else known.get(k) == v for k, v in node.facts.items())


def _words(node: AnyNode) -> list[str]:
    if isinstance(node, RetryNode):
        return [f"tried up to {node.attempts} times"]
    if isinstance(node, TimeoutNode):
        return [f"cancelled after {node.seconds:g} s"]
    if isinstance(node, OnFailureNode):
        return [f"on failure: {describe(node.otherwise) if node.otherwise else node.action}"]
    if isinstance(node, ThenNode):
        return []
    raise AssertionError(node)


__all__ = ["Plan", "PlannedStep", "make_plan"]
