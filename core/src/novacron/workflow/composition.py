"""Composing workflows: `>>`, `parallel`, and the methods that wrap a part. The result is data until it is planned or run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from novacron.errors import WorkflowError
from novacron.units import parse_duration
from novacron.workflow.describing import describe
from novacron.workflow.nodes import (
    FORMAT,
    AnyNode,
    EachNode,
    OnFailureNode,
    ParallelNode,
    RetryNode,
    SequenceNode,
    StepNode,
    Stored,
    ThenNode,
    TimeoutNode,
    UndoNode,
    VMRef,
    WhenNode,
    all_nodes,
)
from novacron.workflow.results import check_name

if TYPE_CHECKING:
    from datetime import timedelta

    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.jobs import Progress
    from novacron.workflow.engine import Engine
    from novacron.workflow.plan import Plan
    from novacron.workflow.run import Run

FACTS = ("host", "name", "status", "tag")


class Workflow:
    """A flow of steps: data that can be planned, run, stored and composed further. Never changed: each method returns a new one.

    Example:
        >>> from novacron.workflow import steps
        >>> (steps.shutdown().when(status="running") >> steps.snapshot("cold")).retry(attempts=2)
        <Workflow (shutdown when status=running >> snapshot 'cold') up to 2 times>
    """

    def __init__(
        self,
        node: AnyNode,
        *,
        name: str = "",
        functions: Mapping[str, Callable[..., Any]] | None = None,
        hosts: Mapping[str, HostHandle] | None = None,
    ) -> None:
        self.node, self.name = node, name
        self.functions = dict(functions or {})
        self.hosts = dict(hosts or {})

    def __repr__(self) -> str:
        return f"<Workflow {f'{self.name!r}: ' if self.name else ''}{describe(self.node)}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workflow) and (self.node, self.name) == (other.node, other.name)

    def __hash__(self) -> int:
        return hash((type(self), self.name, repr(self.node)))

    def __rshift__(self, other: Workflow) -> Workflow:
        """Return this flow and then the other."""
        if not isinstance(other, Workflow):
            return NotImplemented
        return _joined(SequenceNode(nodes=(*_parts(self.node), *_parts(other.node))), (self, other), self.name or other.name)

    def when(self, condition: Callable[[VMHandle], object] | None = None, **facts: str) -> Workflow:
        """Do it only when all facts about the VM hold then (`status`, `host`, `tag`, `name`), or when `condition(vm)` says so.

        Raises:
            WorkflowError: neither or both given, or an unknown fact.
        """
        if (condition is None) == (not facts) or not set(facts) <= set(FACTS):
            raise WorkflowError(f"a condition is a function of the VM, or facts of {', '.join(FACTS)}; got {facts or condition}")
        name, functions = self._naming(condition)
        return self._with(WhenNode(body=self.node, facts=facts, function=name), functions)

    def retry(self, attempts: int = 3, delay: float | str | timedelta = 1.0) -> Workflow:
        """Try up to `attempts` times, `delay` apart; a failed attempt is undone first. A cancelled or invalid one isn't repeated."""
        if attempts < 1:
            raise WorkflowError(f"retry needs at least 1 attempt, got {attempts}")
        return self._with(RetryNode(body=self.node, attempts=attempts, delay=parse_duration(delay)))

    def timeout(self, seconds: float | str | timedelta) -> Workflow:
        """Cancel it after `seconds`; it then has failed with OperationTimeoutError."""
        return self._with(TimeoutNode(body=self.node, seconds=parse_duration(seconds)))

    def undo(self, step: Workflow) -> Workflow:
        """Undo it by `step` instead of by its steps' own ways."""
        return _joined(UndoNode(body=self.node, undo=step.node), (self, step), self.name)

    def on_failure(self, action: Literal["undo", "stop", "continue"] | Workflow) -> Workflow:
        """Say what a failure does here.

        Args:
            action: "undo" what was finished, here and before (the default); "stop" and leave all as it is; "continue" with what
                comes after; or a flow that is done instead, once this one is undone.
        """
        if isinstance(action, Workflow):
            node = OnFailureNode(body=self.node, action="otherwise", otherwise=action.node)
            return _joined(node, (self, action), self.name)
        if action not in ("undo", "stop", "continue"):
            raise WorkflowError(f"on_failure is 'undo', 'stop', 'continue' or a flow, got {action!r}")
        return self._with(OnFailureNode(body=self.node, action=action))

    def named(self, name: str) -> Workflow:
        """Name the step, so that steps after it can use its result: `{name.part}` in a text argument, `context.results` in functions.

        Raises:
            WorkflowError: it is not a single step, or not a name.

        Example:
            >>> from novacron.workflow import steps
            >>> steps.clone("c1").named("copy") >> steps.update(description="copied to {copy.name}")
            <Workflow clone to 'c1' >> update description>
        """
        if not isinstance(self.node, StepNode):
            raise WorkflowError("only a single step can be named", hint="name it before it is composed with others")
        return self._with(StepNode(kind=self.node.kind, arguments=self.node.arguments, name=check_name(name)))

    def then(self, function: Callable[[Any], Any]) -> Workflow:
        """Hand the result through `function`; steps after it see what it returns as `context.previous`."""
        name, functions = self._naming(function)
        return self._with(ThenNode(body=self.node, function=str(name)), functions)

    def each(self, vms: Iterable[VMHandle], *, max_parallel: int = 4) -> Workflow:
        """Do it for each of the VMs, at most `max_parallel` at a time; each fails and is undone on its own."""
        if max_parallel < 1:
            raise WorkflowError(f"max_parallel is at least 1, got {max_parallel}")
        handles = list(vms)
        node = EachNode(body=self.node, vms=tuple(reference(vm) for vm in handles), max_parallel=max_parallel)
        made = self._with(node)
        made.hosts |= {vm.host.name: vm.host for vm in handles}
        return made

    def plan(self, vm: VMHandle | Iterable[VMHandle], *, hosts: Mapping[str, HostHandle] | None = None) -> Plan:
        """Return what a run would do to the VM: each step with its pre-checks, what it changes, how it is undone.

        Nothing is changed. Problems are listed, not raised: see `plan.ok`.
        """
        from novacron.workflow.plan import make_plan

        return make_plan(self, _handles(vm), hosts)

    def run(
        self,
        vm: VMHandle | Iterable[VMHandle],
        *,
        wait: bool = True,
        on_progress: Callable[[Progress], object] | None = None,
        hosts: Mapping[str, HostHandle] | None = None,
        max_parallel: int = 4,
        engine: Engine | None = None,
    ) -> Run:
        """Run it for a VM, or for each of several, and return the run; look at `run.status`, or let `run.result()` raise.

        Args:
            vm: the VM; afterwards this handle is the VM where it then is.
            wait: return when it has ended; False returns at once.
            on_progress: called with each new progress.
            hosts: hosts by name, before the fleet's.
            max_parallel: how many of several VMs at a time.
        """
        from novacron.workflow.engine import default_engine

        several = not hasattr(vm, "record")
        handles = _handles(vm)
        if not handles:
            raise WorkflowError("the flow has no VM to run for")
        flow = self.each(handles, max_parallel=max_parallel).on_failure("stop") if several else self
        return (engine or default_engine()).start(flow, handles, wait=wait, on_progress=on_progress, hosts=hosts)

    def tree(self) -> str:
        """Return the flow as an indented tree."""
        from novacron.workflow.drawing import tree

        return tree(self.node)

    def mermaid(self) -> str:
        """Return the flow as a Mermaid flowchart, for documents."""
        from novacron.workflow.drawing import mermaid

        return mermaid(self.node)

    def dot(self) -> str:
        """Return the flow as a graph in Graphviz' language."""
        from novacron.workflow.drawing import dot

        return dot(self.node)

    def as_dict(self) -> dict[str, Any]:
        """Return the flow as plain values, for storing.

        Raises:
            WorkflowError: it uses a lambda or a local function, which no other process could find.
        """
        if self.functions:
            raise WorkflowError(
                f"the flow uses {', '.join(sorted(self.functions))}, which can't be stored",
                hint="use a function defined at the top of a module that can be imported",
            )
        return self.plain()

    def plain(self) -> dict[str, Any]:
        """Return the flow as plain values, local functions by names that only this process knows."""
        stored: dict[str, Any] = msgspec.to_builtins(Stored(format=FORMAT, name=self.name, flow=self.node))
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Workflow:
        """Return a flow from what `as_dict` returned. Raises WorkflowError when it is of another format, or no flow."""
        if stored.get("format") != FORMAT:
            raise WorkflowError(f"the flow has the format {stored.get('format')!r}, this is {FORMAT}")
        from novacron.workflow.flows import expanded

        try:
            found = msgspec.convert(expanded(dict(stored)), Stored)
        except msgspec.ValidationError as error:
            raise WorkflowError(f"not a stored flow: {error}") from None
        for node in all_nodes(found.flow):
            if isinstance(node, StepNode):
                _check_arguments(node)
        return cls(found.flow, name=found.name)

    def _with(self, node: AnyNode, functions: Mapping[str, Callable[..., Any]] | None = None) -> Workflow:
        return Workflow(node, name=self.name, functions={**self.functions, **(functions or {})}, hosts=self.hosts)

    def _naming(self, function: Callable[..., Any] | None) -> tuple[str | None, dict[str, Callable[..., Any]]]:
        if function is None:
            return None, {}
        from novacron.workflow.functions import name_of, resolve

        name = name_of(function)
        if resolve(name) is function:
            return name, {}
        local = f"{name}#{id(function):x}"  # kept alive by the flow, so that the id stays its own
        return local, {local: function}


def _check_arguments(node: StepNode) -> None:
    """Refuse a step that lacks arguments. Raises WorkflowError."""
    from novacron.workflow.kinds import KINDS

    try:
        kind = KINDS.find(node.kind)
    except WorkflowError:
        return  # its code is not here; whoever runs it says so
    try:
        kind.describe(node.arguments)
    except (KeyError, TypeError) as error:
        raise WorkflowError(
            f"the step {node.kind!r} lacks an argument: {error}",
            hint=f"written as {{step: {node.kind}, ...}} it has its defaults",
        ) from None


def workflow(name: str, *flows: Workflow) -> Workflow:
    """Return a named flow of the given ones, one after the other."""
    if not flows:
        raise WorkflowError(f"the workflow {name!r} has no steps")
    node = flows[0].node if len(flows) == 1 else SequenceNode(nodes=tuple(n for f in flows for n in _parts(f.node)))
    return _joined(node, flows, name)


def parallel(*flows: Workflow) -> Workflow:
    """Return a flow that does all of these at once; when one fails the others are stopped and all is undone."""
    if not flows:
        raise WorkflowError("parallel needs at least one flow")
    return _joined(ParallelNode(nodes=tuple(f.node for f in flows)), flows, "")


def reference(vm: VMHandle) -> VMRef:
    """Return a VM's reference: host and UUID."""
    return VMRef(vm.host.name, vm.id, vm.name)


def _joined(node: AnyNode, flows: Iterable[Workflow], name: str) -> Workflow:
    functions: dict[str, Callable[..., Any]] = {}
    hosts: dict[str, HostHandle] = {}
    for flow in flows:
        functions |= flow.functions
        hosts |= flow.hosts
    return Workflow(node, name=name, functions=functions, hosts=hosts)


def _parts(node: AnyNode) -> tuple[AnyNode, ...]:
    return node.nodes if isinstance(node, SequenceNode) else (node,)


def _handles(vm: Any) -> list[VMHandle]:
    return [vm] if hasattr(vm, "record") else list(vm)


__all__ = ["FACTS", "Workflow", "parallel", "reference", "workflow"]
