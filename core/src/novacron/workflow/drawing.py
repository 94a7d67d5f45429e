"""Draws flows: as an indented tree for the terminal, and in Mermaid's language for documents."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

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
    chart = _Chart()
    chart.draw(node)
    return "\n".join(["flowchart TD", *(f"  {line}" for line in chart.lines)])


class _Chart:
    """The lines of a flowchart. A part of a flow has one node where it begins, and nodes where it ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._numbers = count(1)

    def draw(self, node: AnyNode) -> tuple[str, list[str]]:
        if isinstance(node, StepNode):
            box = self._node("[", describe_step(node), "]")
            return box, [box]
        if isinstance(node, SequenceNode):
            first, ends = self.draw(node.nodes[0])
            for inner in node.nodes[1:]:
                begin, following = self.draw(inner)
                self._lead(ends, begin)
                ends = following
            return first, ends
        if isinstance(node, ParallelNode):
            fork, join = self._node("((", "all", "))"), self._node("((", "joined", "))")
            for inner in node.nodes:
                begin, ends = self.draw(inner)
                self._lead([fork], begin)
                self._lead(ends, join)
            return fork, [join]
        if isinstance(node, WhenNode):
            question = self._node("{", condition_text(node) + "?", "}")
            begin, ends = self.draw(node.body)
            self.lines.append(f"{question} -->|yes| {begin}")
            return question, [question, *ends]
        around = self._node("([", _words(node), "])")
        begin, ends = self.draw(node.body)
        self._lead([around], begin)
        if isinstance(node, UndoNode):
            back, _ = self.draw(node.undo)
            self.lines.append(f"{around} -.->|undone by| {back}")
        elif isinstance(node, OnFailureNode) and node.otherwise is not None:
            instead, others = self.draw(node.otherwise)
            self.lines.append(f"{around} -.->|otherwise| {instead}")
            ends = [*ends, *others]
        return around, ends

    def _node(self, left: str, words: str, right: str) -> str:
        name = f"n{next(self._numbers)}"
        escaped = words.replace('"', "#quot;")
        self.lines.append(f'{name}{left}"{escaped}"{right}')
        return name

    def _lead(self, ends: list[str], begin: str) -> None:
        for end in ends:
            self.lines.append(f"{end} --> {begin}")


__all__ = ["mermaid", "tree"]
