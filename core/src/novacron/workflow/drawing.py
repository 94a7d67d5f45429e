"""Draws flows: as an indented tree for the terminal, in the languages of Mermaid and Graphviz for documents."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Literal, NamedTuple

from novacron.workflow.describing import condition_text, describe_step, function_text
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
    WhenNode,
)


def tree(node: AnyNode) -> str:
    """Return a flow as lines, what is within what by indentation.

    Example:
        >>> from novacron.workflow import steps
        >>> print(tree((steps.stop().when(status="running") >> steps.snapshot("a")).retry(2).node))
        up to 2 times, 1 s apart
          when status=running
            stop
          snapshot 'a'
    """
    return "\n".join(_lines(node, 0))


def _lines(node: AnyNode, depth: int) -> Iterator[str]:
    if isinstance(node, SequenceNode):
        for inner in node.nodes:
            yield from _lines(inner, depth)
        return
    yield "  " * depth + (describe_step(node) if isinstance(node, StepNode) else _words(node))
    if isinstance(node, ParallelNode):
        for number, inner in enumerate(node.nodes, 1):
            if isinstance(inner, SequenceNode):
                yield "  " * (depth + 1) + f"branch {number}"
            yield from _lines(inner, depth + 1 + isinstance(inner, SequenceNode))
    elif not isinstance(node, StepNode):
        yield from _lines(node.body, depth + 1)
    more = node.undo if isinstance(node, UndoNode) else node.otherwise if isinstance(node, OnFailureNode) else None
    if more is not None:
        yield "  " * depth + ("undone by" if isinstance(node, UndoNode) else "otherwise, once that is undone")
        yield from _lines(more, depth + 1)


def _words(node: AnyNode) -> str:
    if isinstance(node, ParallelNode):
        return "at the same time"
    if isinstance(node, EachNode):
        return f"for each of {len(node.vms)} VMs, {node.max_parallel} at a time"
    if isinstance(node, WhenNode):
        return f"when {condition_text(node)}"
    if isinstance(node, RetryNode):
        return f"up to {node.attempts} times, {node.delay:g} s apart"
    if isinstance(node, TimeoutNode):
        return f"within {node.seconds:g} s"
    if isinstance(node, ThenNode):
        return f"its result through {function_text(node.function)}"
    if isinstance(node, OnFailureNode):
        return "tried" if node.otherwise else {"undo": "undone on failure", "stop": "left as it is on failure"}.get(
            node.action, "goes on after a failure"
        )  # fmt: skip
    return "as one"


def mermaid(node: AnyNode) -> str:
    """Return a flow as a Mermaid flowchart: broken lines are what happens on failure or to undo.

    Example:
        >>> from novacron.workflow import steps
        >>> print(mermaid((steps.stop() >> steps.snapshot("a")).node))
        flowchart TD
          n1["stop"]
          n2["snapshot 'a'"]
          n1 --> n2
    """
    brackets = {"step": ("[", "]"), "fork": ("((", "))"), "question": ("{", "}"), "around": ("([", "])")}

    def line(item: _Box | _Arrow) -> str:
        if isinstance(item, _Box):
            left, right = brackets[item.shape]
            escaped = item.words.replace('"', "#quot;")
            return f'{item.name}{left}"{escaped}"{right}'
        label = f"|{item.words}|" if item.words else ""
        return f"{item.begin} {'-.->' if item.broken else '-->'}{label} {item.end}"

    return "\n".join(["flowchart TD", *(f"  {line(item)}" for item in _Chart(node).items)])


def dot(node: AnyNode) -> str:
    """Return a flow as a graph in Graphviz' language, for `dot -Tsvg`; lines as `mermaid` has them.

    Example:
        >>> from novacron.workflow import steps
        >>> print(dot((steps.stop() >> steps.snapshot("a")).node))
        digraph flow {
          n1 [label="stop", shape=box]
          n2 [label="snapshot 'a'", shape=box]
          n1 -> n2
        }
    """
    shapes = {"step": "box", "fork": "circle", "question": "diamond", "around": "oval"}

    def quoted(words: str) -> str:
        return '"' + words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    def line(item: _Box | _Arrow) -> str:
        if isinstance(item, _Box):
            return f"{item.name} [label={quoted(item.words)}, shape={shapes[item.shape]}]"
        looks = [f"label={quoted(item.words)}"] * bool(item.words) + ["style=dashed"] * item.broken
        return f"{item.begin} -> {item.end}" + (f" [{', '.join(looks)}]" if looks else "")

    return "\n".join(["digraph flow {", *(f"  {line(item)}" for item in _Chart(node).items), "}"])


class _Box(NamedTuple):
    name: str
    shape: Literal["step", "fork", "question", "around"]
    words: str


class _Arrow(NamedTuple):
    begin: str
    end: str
    words: str = ""
    broken: bool = False


class _Chart:
    """The boxes and arrows of a flowchart. A part of a flow has one box where it begins, and boxes where it ends."""

    def __init__(self, node: AnyNode) -> None:
        self.items: list[_Box | _Arrow] = []
        self._numbers = count(1)
        self._draw(node)

    def _draw(self, node: AnyNode) -> tuple[str, list[str]]:
        if isinstance(node, StepNode):
            box = self._box("step", describe_step(node))
            return box, [box]
        if isinstance(node, SequenceNode):
            first, ends = self._draw(node.nodes[0])
            for inner in node.nodes[1:]:
                begin, following = self._draw(inner)
                self._lead(ends, begin)
                ends = following
            return first, ends
        if isinstance(node, ParallelNode):
            fork, join = self._box("fork", "all"), self._box("fork", "joined")
            for inner in node.nodes:
                begin, ends = self._draw(inner)
                self._lead([fork], begin)
                self._lead(ends, join)
            return fork, [join]
        if isinstance(node, WhenNode):
            question = self._box("question", condition_text(node) + "?")
            begin, ends = self._draw(node.body)
            self.items.append(_Arrow(question, begin, "yes"))
            return question, [question, *ends]
        around = self._box("around", _words(node))
        begin, ends = self._draw(node.body)
        self._lead([around], begin)
        if isinstance(node, UndoNode):
            back, _ = self._draw(node.undo)
            self.items.append(_Arrow(around, back, "undone by", broken=True))
        elif isinstance(node, OnFailureNode) and node.otherwise is not None:
            instead, others = self._draw(node.otherwise)
            self.items.append(_Arrow(around, instead, "otherwise", broken=True))
            ends = [*ends, *others]
        return around, ends

    def _box(self, shape: Literal["step", "fork", "question", "around"], words: str) -> str:
        name = f"n{next(self._numbers)}"
        self.items.append(_Box(name, shape, words))
        return name

    def _lead(self, ends: list[str], begin: str) -> None:
        self.items += [_Arrow(end, begin) for end in ends]


__all__ = ["dot", "mermaid", "tree"]
