"""What a workflow is made of: frozen nodes that can be stored as JSON.

A node knows its parts, how it is described and drawn, and how a plan looks at it. Only the interpreter knows how a node is run.
A new kind of node is therefore added in two files: here and in `novacron.workflow.run.interpreter`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from novacron.redaction import redacted
from novacron.workflow.paths import ROOT, Path

if TYPE_CHECKING:
    from novacron.workflow.drawing import Chart
    from novacron.workflow.plan import Planner, Situation

FORMAT = 1
"""The version of the stored format. A run is resumed only by code that knows its format."""
FACTS = ("host", "name", "status", "tag")
"""The facts about a VM that a condition can name."""
ACTIONS = ("undo", "stop", "continue")
"""What can be done after a failure, besides another flow."""


class VMRef(msgspec.Struct, frozen=True):
    """A reference to a VM: its host's name and its UUID. `name` is only for people."""

    host: str
    id: str
    name: str = ""


StepWords = Callable[["StepNode"], str]
"""Describes a step; see `Workflow.words`."""
Drawn = tuple[str, list[str]]
"""The box where a part of a chart begins, and the boxes where it ends."""


class Node(msgspec.Struct, frozen=True, kw_only=True, tag_field="node", omit_defaults=True, forbid_unknown_fields=True):
    """The base of all nodes."""

    def parts(self) -> Iterable[tuple[str, AnyNode]]:
        """Return the nodes inside of this one by their names in paths, also those that are only run after a failure."""
        return ()

    def forward(self, vm: VMRef) -> Iterator[tuple[str, AnyNode, VMRef]]:
        """Return the parts that a run without failures goes through, and the VM of each."""
        for name, node in self.parts():
            yield name, node, vm

    def part(self, name: str, vm: VMRef) -> tuple[AnyNode, VMRef]:
        """Return a part by its name in paths, and its VM. Raises LookupError."""
        for known, node in self.parts():
            if known == name:
                return node, vm
        raise LookupError(name)

    def problems(self) -> Iterator[tuple[str, str, str]]:
        """Return what is wrong with the node's own values: field, value, and what is allowed."""
        return iter(())

    def functions(self) -> tuple[str, ...]:
        """Return the names of the functions that the node itself calls."""
        return ()

    def sentence(self, words: StepWords) -> str:
        """Return the flow on one line."""
        raise NotImplementedError

    def label(self, words: StepWords) -> str:
        """Describe the node without its parts, for drawings."""
        raise NotImplementedError

    def conditions(self, words: StepWords) -> tuple[str, ...]:
        """Return what a plan says about the steps inside because of this node."""
        return ()

    def lines(self, words: StepWords) -> Iterator[tuple[int, str]]:
        """Return the node as lines of a tree, each with its depth."""
        yield 0, self.label(words)
        for _, node in self.parts():
            yield from _indented(node.lines(words))

    def draw(self, chart: Chart) -> Drawn:
        """Draw the node and its parts."""
        raise NotImplementedError

    def plan(self, planner: Planner, at: Situation) -> None:
        """Let a planner look at the node's steps."""
        for _, node, vm in self.forward(at.vm):
            node.plan(planner, planner.inside(at, vm, self.conditions(planner.words)))


def _indented(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    return ((depth + 1, text) for depth, text in lines)


class StepNode(Node, frozen=True, tag="step"):
    """One step: a kind from the registry and its arguments as plain values. Later steps refer to its result by `name`."""

    kind: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    name: str = ""

    def __repr__(self) -> str:
        """Return the step without the secrets in its arguments."""
        return f"StepNode(kind={self.kind!r}, arguments={redacted(self.arguments)!r}, name={self.name!r})"

    def sentence(self, words: StepWords) -> str:
        return words(self)

    label = sentence

    def draw(self, chart: Chart) -> Drawn:
        box = chart.box("step", chart.words(self))
        return box, [box]

    def plan(self, planner: Planner, at: Situation) -> None:
        planner.step(self, at)


class _Several(Node, frozen=True):
    """A node of several parts for the same VM."""

    nodes: tuple[AnyNode, ...]

    def parts(self) -> Iterable[tuple[str, AnyNode]]:
        return ((str(index), node) for index, node in enumerate(self.nodes))

    def problems(self) -> Iterator[tuple[str, str, str]]:
        if not self.nodes:
            yield "nodes", "empty", "at least one step"


class SequenceNode(_Several, frozen=True, tag="sequence"):
    """One part after the other."""

    def sentence(self, words: StepWords) -> str:
        return " >> ".join(node.sentence(words) for node in self.nodes)

    def lines(self, words: StepWords) -> Iterator[tuple[int, str]]:
        for node in self.nodes:
            yield from node.lines(words)

    def draw(self, chart: Chart) -> Drawn:
        first, ends = self.nodes[0].draw(chart)
        for node in self.nodes[1:]:
            begin, following = node.draw(chart)
            chart.connect(ends, begin)
            ends = following
        return first, ends


class ParallelNode(_Several, frozen=True, tag="parallel"):
    """All parts at once. The first failure stops the others."""

    def sentence(self, words: StepWords) -> str:
        return f"parallel({', '.join(node.sentence(words) for node in self.nodes)})"

    def label(self, words: StepWords) -> str:
        return "at the same time"

    def conditions(self, words: StepWords) -> tuple[str, ...]:
        return ("at the same time as others",)

    def lines(self, words: StepWords) -> Iterator[tuple[int, str]]:
        yield 0, self.label(words)
        for number, node in enumerate(self.nodes, 1):
            lines = list(node.lines(words))
            several = sum(depth == 0 for depth, _ in lines) > 1
            if several:
                yield 1, f"branch {number}"
            yield from _indented(_indented(lines) if several else lines)

    def draw(self, chart: Chart) -> Drawn:
        fork, join = chart.box("fork", "all"), chart.box("fork", "joined")
        for node in self.nodes:
            begin, ends = node.draw(chart)
            chart.connect([fork], begin)
            chart.connect(ends, join)
        return fork, [join]


class Wrapper(Node, frozen=True):
    """A node around one other."""

    body: AnyNode

    def parts(self) -> Iterable[tuple[str, AnyNode]]:
        return (("body", self.body),)

    def sentence(self, words: StepWords) -> str:
        body = self.body.sentence(words)
        return f"{f'({body})' if isinstance(self.body, SequenceNode) else body} {self.suffix(words)}"

    def suffix(self, words: StepWords) -> str:
        """Return what `sentence` says after the body."""
        return self.label(words)

    def draw(self, chart: Chart) -> Drawn:
        around = chart.box("around", self.label(chart.words))
        begin, ends = self.body.draw(chart)
        chart.connect([around], begin)
        return around, ends


class EachNode(Wrapper, frozen=True, tag="each"):
    """The body for each of several VMs, at most `max_parallel` at a time. Each VM fails and is undone on its own."""

    vms: tuple[VMRef, ...]
    max_parallel: int = 4

    def forward(self, vm: VMRef) -> Iterator[tuple[str, AnyNode, VMRef]]:
        return ((each.id, self.body, each) for each in self.vms)

    def part(self, name: str, vm: VMRef) -> tuple[AnyNode, VMRef]:
        for each in self.vms:
            if each.id == name:
                return self.body, each
        raise LookupError(name)

    def problems(self) -> Iterator[tuple[str, str, str]]:
        if not self.vms:
            yield "vms", "empty", "at least one VM"
        times = Counter(vm.id for vm in self.vms)
        if twice := {vm.id: vm for vm in self.vms if times[vm.id] > 1}:
            yield "vms", f"{names_of(twice.values())} twice", "each VM once"
        if self.max_parallel < 1:
            yield "max_parallel", str(self.max_parallel), "a whole number of at least 1"

    def suffix(self, words: StepWords) -> str:
        return f"for each of {len(self.vms)} VMs"

    def label(self, words: StepWords) -> str:
        return f"for each of {len(self.vms)} VMs, {self.max_parallel} at a time"


class WhenNode(Wrapper, frozen=True, tag="when"):
    """The body only if all facts about the VM hold (`status`, `host`, `tag`, `name`), or if the named function says so."""

    facts: dict[str, str] = msgspec.field(default_factory=dict)
    function: str | None = None

    def problems(self) -> Iterator[tuple[str, str, str]]:
        for fact in sorted(set(self.facts) - set(FACTS)):
            yield "facts", fact, f"facts of {', '.join(FACTS)}"
        if bool(self.facts) == bool(self.function):
            yield "facts", ", ".join(self.facts) or "missing", "either facts or a function"

    def functions(self) -> tuple[str, ...]:
        return (self.function,) if self.function else ()

    def question(self) -> str:
        """Return the condition in words."""
        return " and ".join(f"{k}={v}" for k, v in self.facts.items()) or f"{short_name(self.function or '')} says so"

    def label(self, words: StepWords) -> str:
        return f"when {self.question()}"

    def conditions(self, words: StepWords) -> tuple[str, ...]:
        return (f"when {self.question()}" + (f" ({self.function})" if self.function else ""),)

    def holds(self, known: Mapping[str, Any], tags: Iterable[str]) -> bool | None:
        """Return whether all facts hold; None if a function decides."""
        if self.function is not None:
            return None
        return all(value in tags if fact == "tag" else known.get(fact) == value for fact, value in self.facts.items())

    def draw(self, chart: Chart) -> Drawn:
        question = chart.box("question", self.question() + "?")
        begin, ends = self.body.draw(chart)
        chart.arrow(question, begin, "yes")
        return question, [question, *ends]

    def plan(self, planner: Planner, at: Situation) -> None:
        inside = planner.inside(at, at.vm, self.conditions(planner.words))
        self.body.plan(planner, inside.when(planner.holds(self, at)))


class RetryNode(Wrapper, frozen=True, tag="retry"):
    """The body up to `attempts` times, `delay` seconds apart. A failed attempt is undone before the next one."""

    attempts: int = 3
    delay: float = 1.0

    def problems(self) -> Iterator[tuple[str, str, str]]:
        if self.attempts < 1:
            yield "attempts", str(self.attempts), "a whole number of at least 1"
        if not self.delay >= 0:
            yield "delay", str(self.delay), "seconds, at least 0"

    def suffix(self, words: StepWords) -> str:
        return f"up to {self.attempts} times"

    def label(self, words: StepWords) -> str:
        return f"up to {self.attempts} times, {self.delay:g} s apart"

    def conditions(self, words: StepWords) -> tuple[str, ...]:
        return (f"tried up to {self.attempts} times",)


class TimeoutNode(Wrapper, frozen=True, tag="timeout"):
    """The body, cancelled after `seconds`."""

    seconds: float

    def problems(self) -> Iterator[tuple[str, str, str]]:
        if not self.seconds > 0:
            yield "seconds", str(self.seconds), "seconds above 0"

    def label(self, words: StepWords) -> str:
        return f"within {self.seconds:g} s"

    def conditions(self, words: StepWords) -> tuple[str, ...]:
        return (f"cancelled after {self.seconds:g} s",)


class _WithAlternative(Wrapper, frozen=True):
    """A wrapper with a second flow, which is only run after a failure."""

    heading: ClassVar[str]
    arrow: ClassVar[str]

    def alternative(self) -> tuple[str, AnyNode] | None:
        """Return the second flow and its name in paths, if there is one."""
        raise NotImplementedError

    def parts(self) -> Iterable[tuple[str, AnyNode]]:
        second = self.alternative()
        return (("body", self.body), *([second] if second else []))

    def forward(self, vm: VMRef) -> Iterator[tuple[str, AnyNode, VMRef]]:
        yield "body", self.body, vm

    def lines(self, words: StepWords) -> Iterator[tuple[int, str]]:
        yield 0, self.label(words)
        yield from _indented(self.body.lines(words))
        if second := self.alternative():
            yield 0, self.heading
            yield from _indented(second[1].lines(words))

    def draw(self, chart: Chart) -> Drawn:
        around, ends = Wrapper.draw(self, chart)
        if second := self.alternative():
            begin, others = second[1].draw(chart)
            chart.arrow(around, begin, self.arrow, broken=True)
            ends = [*ends, *others] if self.arrow == "otherwise" else ends
        return around, ends


class UndoNode(_WithAlternative, frozen=True, tag="undo"):
    """The body; once done, it is undone by `undo` instead of by its steps' own undo."""

    undo: AnyNode
    heading: ClassVar[str] = "undone by"
    arrow: ClassVar[str] = "undone by"

    def alternative(self) -> tuple[str, AnyNode] | None:
        return "undo", self.undo

    def suffix(self, words: StepWords) -> str:
        return f"undone by ({self.undo.sentence(words)})"

    def label(self, words: StepWords) -> str:
        return "as one"

    def plan(self, planner: Planner, at: Situation) -> None:
        with planner.undone_by(self.undo.sentence(planner.words)):
            self.body.plan(planner, at)


class OnFailureNode(_WithAlternative, frozen=True, tag="on_failure"):
    """What is done if the body fails; with `otherwise`, a flow that runs once the body is undone."""

    action: Literal["undo", "stop", "continue", "otherwise"]
    otherwise: AnyNode | None = None
    heading: ClassVar[str] = "otherwise, once that is undone"
    arrow: ClassVar[str] = "otherwise"

    def problems(self) -> Iterator[tuple[str, str, str]]:
        if (self.action == "otherwise") != (self.otherwise is not None):
            yield "otherwise", "missing" if self.otherwise is None else "given", "a flow together with action 'otherwise' only"

    def alternative(self) -> tuple[str, AnyNode] | None:
        return ("otherwise", self.otherwise) if self.otherwise else None

    def suffix(self, words: StepWords) -> str:
        return f"on failure {self.otherwise.sentence(words) if self.otherwise else self.action}"

    def label(self, words: StepWords) -> str:
        known = {"undo": "undone on failure", "stop": "left as it is on failure", "continue": "continues after a failure"}
        return known.get(self.action, "tried")

    def conditions(self, words: StepWords) -> tuple[str, ...]:
        return (f"on failure: {self.otherwise.sentence(words) if self.otherwise else self.action}",)


class ThenNode(Wrapper, frozen=True, tag="then"):
    """The result of the body, passed through the named function."""

    function: str

    def functions(self) -> tuple[str, ...]:
        return (self.function,)

    def suffix(self, words: StepWords) -> str:
        return f"then {short_name(self.function)}"

    def label(self, words: StepWords) -> str:
        return f"its result through {short_name(self.function)}"

    def conditions(self, words: StepWords) -> tuple[str, ...]:
        return (f"its result is passed through {self.function}",)


AnyNode = (
    StepNode | SequenceNode | ParallelNode | EachNode | WhenNode | RetryNode | TimeoutNode | UndoNode | OnFailureNode | ThenNode
)


def all_nodes(node: AnyNode) -> Iterator[AnyNode]:
    """Return a node and all nodes inside of it, also those that are only run after a failure."""
    yield node
    for _, inner in node.parts():
        yield from all_nodes(inner)


def steps_of(node: AnyNode, vm: VMRef, path: Path = ROOT) -> Iterator[tuple[Path, StepNode, VMRef]]:
    """Return each step with its path and VM, in order, without those that are only run after a failure."""
    if isinstance(node, StepNode):
        yield path, node, vm
    for name, inner, its_vm in node.forward(vm):
        yield from steps_of(inner, its_vm, path / name)


def node_at(node: AnyNode, path: Path, vm: VMRef) -> tuple[AnyNode, VMRef]:
    """Return the node at a path, and its VM. Raises LookupError."""
    for name, _ in path.parts:
        node, vm = node.part(name, vm)
    return node, vm


def short_name(function: str) -> str:
    """Return a function's name without its module."""
    return function.partition("#")[0].rpartition(":")[2].rpartition(".")[2]


def names_of(vms: Iterable[VMRef]) -> str:
    """Return VMs by name, only the first few of many."""
    names = [vm.name or vm.id for vm in vms]
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:3])} and {len(names) - 3} more"


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A workflow as it is stored."""

    format: int
    flow: AnyNode
    name: str = ""


__all__ = [
    "FORMAT",
    "AnyNode",
    "Drawn",
    "EachNode",
    "Node",
    "OnFailureNode",
    "ParallelNode",
    "RetryNode",
    "SequenceNode",
    "StepNode",
    "StepWords",
    "Stored",
    "ThenNode",
    "TimeoutNode",
    "UndoNode",
    "VMRef",
    "WhenNode",
    "Wrapper",
    "all_nodes",
    "names_of",
    "node_at",
    "short_name",
    "steps_of",
]
