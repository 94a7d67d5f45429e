"""What a workflow is made of: frozen, JSON-able nodes. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

FORMAT = 1
"""The version of the stored format; a run is only resumed by code that knows its format."""


class VMRef(msgspec.Struct, frozen=True):
    """A VM by reference: its host's name and its UUID. `name` is only for people."""

    host: str
    id: str
    name: str = ""


class Node(msgspec.Struct, frozen=True, kw_only=True, tag_field="node", omit_defaults=True):
    """The base of all nodes."""


class StepNode(Node, frozen=True, tag="step"):
    """One step: a kind from the registry and its arguments (plain values); steps after it refer to its result by `name`."""

    kind: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    name: str = ""


class SequenceNode(Node, frozen=True, tag="sequence"):
    """One after the other."""

    nodes: tuple[AnyNode, ...]


class ParallelNode(Node, frozen=True, tag="parallel"):
    """All at once; the first failure stops the others."""

    nodes: tuple[AnyNode, ...]


class EachNode(Node, frozen=True, tag="each"):
    """The same for each of several VMs, at most `max_parallel` at a time. Each VM fails and is undone on its own."""

    body: AnyNode
    vms: tuple[VMRef, ...]
    max_parallel: int = 4


class WhenNode(Node, frozen=True, tag="when"):
    """Only when all facts hold (`status`, `host`, `tag`, `name` of the VM), or the named function says so."""

    body: AnyNode
    facts: dict[str, str] = msgspec.field(default_factory=dict)
    function: str | None = None


class RetryNode(Node, frozen=True, tag="retry"):
    """Up to `attempts` times, `delay` seconds apart; what a failed attempt did is undone before the next."""

    body: AnyNode
    attempts: int = 3
    delay: float = 1.0


class TimeoutNode(Node, frozen=True, tag="timeout"):
    """Cancelled after `seconds`."""

    body: AnyNode
    seconds: float


class UndoNode(Node, frozen=True, tag="undo"):
    """Once done, undone by `undo` instead of by its steps' own ways."""

    body: AnyNode
    undo: AnyNode


class OnFailureNode(Node, frozen=True, tag="on_failure"):
    """What a failure inside does; with `otherwise`, what is done instead once the body is undone."""

    body: AnyNode
    action: Literal["undo", "stop", "continue", "otherwise"]
    otherwise: AnyNode | None = None


class ThenNode(Node, frozen=True, tag="then"):
    """The result handed through the named function."""

    body: AnyNode
    function: str


AnyNode = (
    StepNode | SequenceNode | ParallelNode | EachNode | WhenNode | RetryNode | TimeoutNode | UndoNode | OnFailureNode | ThenNode
)


def all_nodes(node: AnyNode) -> Iterator[AnyNode]:
    """Return a node and all that it is made of, also what is only done to undo it or instead of it."""
    yield node
    inner = (*getattr(node, "nodes", ()), *(getattr(node, part, None) for part in ("body", "undo", "otherwise")))
    for part in inner:
        if part is not None:
            yield from all_nodes(part)


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workflow as it is stored."""

    format: int
    flow: AnyNode
    name: str = ""


__all__ = [
    "FORMAT", "AnyNode", "EachNode", "Node", "OnFailureNode", "ParallelNode", "RetryNode", "SequenceNode", "StepNode", "Stored",
    "ThenNode", "TimeoutNode", "UndoNode", "VMRef", "WhenNode", "all_nodes",
]  # fmt: skip
