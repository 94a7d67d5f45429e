"""Composing workflows: `>>`, `parallel`, and the methods that wrap a part. The result is data until it is planned or run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from novacron.errors import WorkflowError
from novacron.redaction import redacted
from novacron.text import printable_line
from novacron.units import parse_duration
from novacron.workflow.clashes import refuse_clashes
from novacron.workflow.kinds.registry import default_kinds
from novacron.workflow.nodes import (
    ACTIONS,
    FACTS,
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
from novacron.workflow.references import check_name

if TYPE_CHECKING:
    from datetime import timedelta

    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.jobs import Progress
    from novacron.workflow.kinds.base import StepKind
    from novacron.workflow.plan import Plan
    from novacron.workflow.run.engine import Engine
    from novacron.workflow.run.run import Run

V = TypeVar("V", "VMHandle", VMRef)


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
        kinds: Mapping[str, StepKind] | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        hosts: Mapping[str, HostHandle] | None = None,
    ) -> None:
        self.node, self.name = node, name
        self.kinds, self.functions, self.hosts = dict(kinds or {}), dict(functions or {}), dict(hosts or {})

    def __repr__(self) -> str:
        return printable_line(f"<Workflow {f'{self.name!r}: ' if self.name else ''}{self.description}>")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workflow) and (self.node, self.name) == (other.node, other.name)

    def __hash__(self) -> int:
        return hash((type(self), self.name, repr(self.node)))

    @property
    def description(self) -> str:
        """The flow on one line."""
        return self.node.sentence(self.words)

    def kind(self, name: str) -> StepKind:
        """Return the kind of a step of this flow. Raises WorkflowError if its code is not here."""
        return self.kinds.get(name) or default_kinds().find(name)

    def words(self, node: StepNode) -> str:
        """Describe a step without its secrets. Never fails: a kind that is not here is described by its name."""
        try:
            return self.kind(node.kind).describe(redacted(node.arguments))
        except Exception:  # noqa: BLE001 - a plugin's kind may be of another version than the flow
            return node.kind

    def check_code(self) -> None:
        """Make sure that the code of all steps and functions is here.

        Raises:
            WorkflowError: a step or function is not registered.
        """
        for node in all_nodes(self.node):
            if isinstance(node, StepNode):
                self.kind(node.kind)
            for name in node.functions():
                if name not in self.functions:
                    raise unregistered(name)

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
        if condition is None:
            return self._with(WhenNode(body=self.node, facts=facts))
        name = _name(condition)
        return self._with(WhenNode(body=self.node, function=name), {name: condition})

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
        if action not in ACTIONS:
            raise WorkflowError(f"on_failure takes 'undo', 'stop', 'continue' or a flow, got {action!r}")
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
        name = _name(function)
        return self._with(ThenNode(body=self.node, function=name), {name: function})

    def each(self, vms: Iterable[VMHandle], *, max_parallel: int = 4) -> Workflow:
        """Do it for each of the VMs, at most `max_parallel` at a time; each fails and is undone on its own."""
        if max_parallel < 1:
            raise WorkflowError(f"max_parallel is at least 1, got {max_parallel}")
        handles = distinct(vms)
        node = EachNode(body=self.node, vms=tuple(reference(vm) for vm in handles), max_parallel=max_parallel)
        if not handles:
            raise WorkflowError("the flow has no VM to run for")
        hosts = self.hosts | {vm.host.name: vm.host for vm in handles}
        return Workflow(node, name=self.name, kinds=self.kinds, functions=self.functions, hosts=hosts)

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

        Raises:
            WorkflowError: the flow takes a name twice, such as that of a snapshot, so it could only fail; or its code is not here.
        """
        self.check_code()
        several = not hasattr(vm, "record")
        handles = _handles(vm)
        if not handles:
            raise WorkflowError("the flow has no VM to run for")
        refuse_clashes(self, map(reference, handles))
        flow = self.each(handles, max_parallel=max_parallel).on_failure("stop") if several else self
        return (engine or _engine_of(handles[0])).start(flow, handles, wait=wait, on_progress=on_progress, hosts=hosts)

    def tree(self) -> str:
        """Return the flow as an indented tree."""
        from novacron.workflow.drawing import tree

        return tree(self.node, self.words)

    def mermaid(self) -> str:
        """Return the flow as a Mermaid flowchart, for documents."""
        from novacron.workflow.drawing import mermaid

        return mermaid(self.node, self.words)

    def dot(self) -> str:
        """Return the flow as a graph in Graphviz' language."""
        from novacron.workflow.drawing import dot

        return dot(self.node, self.words)

    def as_dict(self) -> dict[str, Any]:
        """Return the flow as plain values, for storing.

        Raises:
            WorkflowError: it uses a lambda, a local function, or one that is not declared with `@function`: no other process could
                find it.
        """
        from novacron.workflow.functions import Function

        local = {name for name, kind in self.kinds.items() if kind.local}
        local |= {name for name, function in self.functions.items() if not isinstance(function, Function) or "#" in name}
        if local:
            raise WorkflowError(
                f"the flow uses {', '.join(sorted(local))}, which can't be stored",
                hint="define the function at the top of a module and decorate it with @step or @function",
            )
        return self.plain()

    def plain(self) -> dict[str, Any]:
        """Return the flow as plain values, local functions by names that only this process knows."""
        stored: dict[str, Any] = msgspec.to_builtins(Stored(format=FORMAT, name=self.name, flow=self.node))
        return stored

    @classmethod
    def from_dict(cls, stored: Any) -> Workflow:
        """Return a flow from what `as_dict` returned, or from a flow file. Nothing is imported.

        Raises:
            WorkflowError: it is no flow, has another format, or a value in it is not allowed.
            InvalidSpecError: arguments of a step are wrong.
        """
        from novacron.workflow.files import read_flow

        return read_flow(stored)

    def _with(self, node: AnyNode, functions: Mapping[str, Callable[..., Any]] | None = None) -> Workflow:
        functions = {**self.functions, **(functions or {})}
        return Workflow(node, name=self.name, kinds=self.kinds, functions=functions, hosts=self.hosts)


def _name(function: Callable[..., Any]) -> str:
    """Return the name of a function in a flow. One that is not declared gets a name that only this process knows."""
    from novacron.workflow.functions import Function, name_of

    return function.name if isinstance(function, Function) else f"{name_of(function)}#{id(function):x}"


def unregistered(name: str) -> WorkflowError:
    """Return the error about a function that a flow names and that is not registered."""
    return WorkflowError(
        f"the function {name!r} is not registered",
        hint="decorate it with @function, and load its module with --load MODULE or as a plugin",
    )


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
    joined = Workflow(node, name=name)
    for flow in flows:
        joined.kinds |= flow.kinds
        joined.functions |= flow.functions
        joined.hosts |= flow.hosts
    return joined


def _parts(node: AnyNode) -> tuple[AnyNode, ...]:
    return node.nodes if isinstance(node, SequenceNode) else (node,)


def _engine_of(vm: VMHandle) -> Engine:
    """Return the engine of the site that connected the VM's host; that of the default site if no site did."""
    if vm.host.engine is not None:
        engine: Engine = vm.host.engine()
        return engine
    from novacron.workflow.defaults import default_site

    return default_site().engine


def _handles(vm: Any) -> list[VMHandle]:
    return [vm] if hasattr(vm, "record") else distinct(vm)


def distinct(vms: Iterable[VMHandle]) -> list[VMHandle]:
    """Return VMs without those that were given before. Raises WorkflowError if two of different hosts have the same id."""
    return once_each(vms, lambda vm: (vm.host.name, vm.host.uri), "run the flow for each of them on its own")


def once_each(vms: Iterable[V], host_of: Callable[[V], tuple[str, str]], hint: str) -> list[V]:
    """Return VMs once each: a host may be known by two names.

    Args:
        vms: handles or references of VMs.
        host_of: returns the name and the URI of a VM's host.
        hint: what to do if two hosts have a VM of one id.
    Raises:
        WorkflowError: two hosts have a VM of one id.
    """
    found: dict[str, V] = {}
    for vm in vms:
        known = found.setdefault(vm.id, vm)
        (name, uri), (other, other_uri) = host_of(known), host_of(vm)
        if uri != other_uri:
            raise WorkflowError(f"{known.name} of {name} and {vm.name} of {other} have the same id", resource=vm.name, hint=hint)
    return list(found.values())


__all__ = ["Workflow", "distinct", "once_each", "parallel", "reference", "unregistered", "workflow"]
