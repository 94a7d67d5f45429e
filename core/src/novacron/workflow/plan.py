"""What a run would do: every step with its pre-checks, what it changes, how it is undone. Nothing is changed by planning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from novacron.errors import NovaCronError
from novacron.workflow.composition import Workflow, reference
from novacron.workflow.context import Context, Expected, Location
from novacron.workflow.hosts import Hosts
from novacron.workflow.nodes import StepNode, VMRef, WhenNode
from novacron.workflow.references import references

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step as it would be done.

    `undo` is None when it can't be undone. `conditions` are in words, outermost first. `function` is the "module:name" of the function
    that the step calls, None for steps that call no function of yours.
    """

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
    function: str | None = None

    def __str__(self) -> str:
        lines = [f"{self.number}. {self.description}{' (skipped)' if self.skipped else ''}"]
        lines += [f"     only {c}" if c.startswith(("when", "if")) else f"     {c}" for c in self.conditions]
        if not self.skipped:
            lines.append(f"     on        {self.host}")
            lines += [f"     calls     {self.function}"] if self.function else []
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
        """Whether no step has a problem."""
        return not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """All problems, with the numbers of the steps."""
        return tuple(f"step {s.number}, {s.description}: {p}" for s in self.steps for p in s.problems)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        result: dict[str, Any] = msgspec.to_builtins(self)
        return result | {"ok": self.ok}

    def __str__(self) -> str:
        names = ", ".join(f"{v.name or v.id} on {v.host}" for v in self.vms)
        head = f"Plan {f'{self.name!r} ' if self.name else ''}for {names}: {len(self.steps)} steps"
        count = len(self.problems)
        foot = "All pre-checks passed." if self.ok else f"{count} problem{'s' if count > 1 else ''}: it would fail."
        body = []
        shown = None
        for step in self.steps:
            if len(self.vms) > 1 and step.vm != shown:
                body.append(f"{step.vm}:")
                shown = step.vm
            body.append(f"  {step}".replace("\n", "\n  "))
        return "\n".join([head, *body, foot])


class Situation(msgspec.Struct, frozen=True):
    """What holds where a planner is: the VM and its expected state, and the conditions around.

    Attributes:
        skipped: whether the steps are skipped.
        uncertain: whether a function decides if the steps are run.
    """

    location: Location
    expected: Expected
    conditions: tuple[str, ...] = ()
    skipped: bool = False
    uncertain: bool = False

    @property
    def vm(self) -> VMRef:
        """The VM, and the host that is expected to have it."""
        return self.location.vm

    def when(self, holds: bool | None) -> Situation:
        """Return this situation under a condition that holds or not; None if a function decides."""
        return msgspec.structs.replace(self, skipped=self.skipped or holds is False, uncertain=self.uncertain or holds is None)


class Planner:
    """Goes through a flow as a run would, and collects the steps; the nodes call it."""

    def __init__(self, flow: Workflow, hosts: Hosts) -> None:
        self.words, self.steps = flow.words, list[PlannedStep]()
        self._flow, self._hosts = flow, hosts
        self._named = set[str]()
        self._new_vms = set[tuple[str, str]]()
        self._situations = dict[str, Situation]()

    def begin(self, vm: VMRef) -> Situation:
        """Return the situation of a VM after the steps that were planned for it: at first, as it is now."""
        if vm.id not in self._situations:
            location = Location(vm)
            self._situations[vm.id] = Situation(location, Expected(Context(self._hosts, location, {}).read(), self._new_vms))
        return self._situations[vm.id]

    def inside(self, at: Situation, vm: VMRef, conditions: tuple[str, ...]) -> Situation:
        """Return the situation inside of a node for its VM, which may be another one: the node's conditions are added."""
        there = at if vm.id == at.vm.id else self.begin(vm)
        return Situation(there.location, there.expected, (*at.conditions, *conditions), at.skipped, at.uncertain)

    def holds(self, node: WhenNode, at: Situation) -> bool | None:
        """Return whether a condition will hold as far as can be told; None if a function decides."""
        known: dict[str, Any] = {"status": at.expected.status, "host": at.vm.host, "name": at.vm.name}
        return node.holds(known, at.expected.tags)

    @contextmanager
    def undone_by(self, words: str) -> Iterator[None]:
        """Say of all steps that are added meanwhile how they are undone."""
        first = len(self.steps)
        yield
        self.steps[first:] = [msgspec.structs.replace(step, undo=words) for step in self.steps[first:]]

    def step(self, node: StepNode, at: Situation) -> None:
        """Add a step: ask its kind for problems and effects."""
        host, context = at.vm.host, Context(self._hosts, at.location, node.arguments, expected=at.expected)
        problems, changes, undo, function = list[str](), "", None, None
        try:
            kind = self._flow.kind(node.kind)
            function = kind.function_name
            undo = kind.describe_undo(node.arguments)
            used = set(references(node.arguments))
            if unknown := sorted(used - self._named):
                problems = [f"no earlier step is named {name!r}" for name in unknown]
            elif used:
                context.note("it uses results of earlier steps, so it can only be checked then")
            elif not at.skipped:
                problems = kind.check(context)
                certain = {*self._new_vms}
                changes = kind.effect(context)
                if at.uncertain:
                    self._new_vms &= certain
        except NovaCronError as error:
            problems.append(str(error))
        self._named |= {node.name} - {""}
        self.steps.append(
            PlannedStep(
                number=len(self.steps) + 1,
                vm=at.vm.name or at.vm.id,
                host=host,
                description=self.words(node),
                changes=changes,
                undo=undo,
                problems=tuple(problems),
                notes=tuple(context.notes),
                conditions=at.conditions,
                skipped=at.skipped,
                function=function,
            )
        )


def make_plan(flow: Workflow, vms: list[VMHandle], hosts: Mapping[str, HostHandle] | None) -> Plan:
    """Return the plan of a flow for VMs."""
    known = Hosts(hosts or {}, {vm.host.name: vm.host for vm in vms}, flow.hosts)
    planner = Planner(flow, known)
    try:
        for vm in vms:
            flow.node.plan(planner, planner.begin(reference(vm)))
    finally:
        known.close()
    words = flow.node.sentence(flow.words)
    return Plan(name=flow.name, flow=words, vms=tuple(reference(vm) for vm in vms), steps=tuple(planner.steps))


__all__ = ["Plan", "PlannedStep", "Planner", "Situation", "make_plan"]
