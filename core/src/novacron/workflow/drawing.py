"""Draws flows: as an indented tree for the terminal, and in the languages of Mermaid and Graphviz for documents."""

from __future__ import annotations

from itertools import count
from typing import Literal, NamedTuple

from novacron.workflow.nodes import AnyNode, StepWords

Shape = Literal["step", "fork", "question", "around"]


def tree(node: AnyNode, words: StepWords) -> str:
    """Return a flow as lines; the indentation shows what is inside of what.

    Example:
        >>> from novacron.workflow import steps
        >>> print((steps.stop().when(status="running") >> steps.snapshot("a")).retry(2).tree())
        up to 2 times, 1 s apart
          when status=running
            stop
          snapshot 'a'
    """
    return "\n".join("  " * depth + text for depth, text in node.lines(words))


def mermaid(node: AnyNode, words: StepWords) -> str:
    """Return a flow as a Mermaid flowchart. Broken lines are what happens on failure or to undo.

    Example:
        >>> from novacron.workflow import steps
        >>> print((steps.stop() >> steps.snapshot("a")).mermaid())
        flowchart TD
          n1["stop"]
          n2["snapshot 'a'"]
          n1 --> n2
    """
    brackets = {"step": ("[", "]"), "fork": ("((", "))"), "question": ("{", "}"), "around": ("([", "])")}

    def line(item: Box | Arrow) -> str:
        if isinstance(item, Box):
            left, right = brackets[item.shape]
            escaped = item.words.replace('"', "#quot;")
            return f'{item.name}{left}"{escaped}"{right}'
        label = f"|{item.words}|" if item.words else ""
        return f"{item.begin} {'-.->' if item.broken else '-->'}{label} {item.end}"

    return "\n".join(["flowchart TD", *(f"  {line(item)}" for item in Chart(node, words).items)])


def dot(node: AnyNode, words: StepWords) -> str:
    """Return a flow as a graph in Graphviz' language, for `dot -Tsvg`; lines as in `mermaid`.

    Example:
        >>> from novacron.workflow import steps
        >>> print((steps.stop() >> steps.snapshot("a")).dot())
        digraph flow {
          n1 [label="stop", shape=box]
          n2 [label="snapshot 'a'", shape=box]
          n1 -> n2
        }
    """
    shapes = {"step": "box", "fork": "circle", "question": "diamond", "around": "oval"}

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    def line(item: Box | Arrow) -> str:
        if isinstance(item, Box):
            return f"{item.name} [label={quoted(item.words)}, shape={shapes[item.shape]}]"
        looks = [f"label={quoted(item.words)}"] * bool(item.words) + ["style=dashed"] * item.broken
        return f"{item.begin} -> {item.end}" + (f" [{', '.join(looks)}]" if looks else "")

    return "\n".join(["digraph flow {", *(f"  {line(item)}" for item in Chart(node, words).items), "}"])


class Box(NamedTuple):
    """A box of a chart."""

    name: str
    shape: Shape
    words: str


class Arrow(NamedTuple):
    """An arrow between two boxes."""

    begin: str
    end: str
    words: str = ""
    broken: bool = False


class Chart:
    """The boxes and arrows of a flowchart, as the nodes draw them."""

    def __init__(self, node: AnyNode, words: StepWords) -> None:
        self.words, self.items = words, list[Box | Arrow]()
        self._numbers = count(1)
        node.draw(self)

    def box(self, shape: Shape, words: str) -> str:
        """Draw a box and return its name."""
        name = f"n{next(self._numbers)}"
        self.items.append(Box(name, shape, words))
        return name

    def arrow(self, begin: str, end: str, words: str = "", *, broken: bool = False) -> None:
        """Draw an arrow."""
        self.items.append(Arrow(begin, end, words, broken))

    def connect(self, ends: list[str], begin: str) -> None:
        """Draw an arrow from each of several boxes to one."""
        self.items += [Arrow(end, begin) for end in ends]


__all__ = ["Arrow", "Box", "Chart", "dot", "mermaid", "tree"]
