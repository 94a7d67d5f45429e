"""Paths of steps: where in a flow a step is, and at which attempt of a retry.

`/0/2` is the third part of the first part, `~2` the second attempt, `/do` and `/undo` what an `undo(step)` wraps and undoes by,
`/else` what is done instead, `/UUID` one of several VMs. Conditions, timeouts and the like have the path of what they wrap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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

_PART = re.compile(r"[/~]([^/~]*)")


def below(path: str, prefix: str) -> bool:
    """Whether a path is at or below another."""
    return not prefix or path == prefix or path.startswith((prefix + "/", prefix + "~"))


def shown_path(path: str) -> str:
    """Return a step's path in the flow from its path in a walk, which also counts attempts."""
    return re.sub(r"~\d+", "", path)


def nth(node: AnyNode) -> int:
    """Return how many wrappers of the same kind are within one at the same path: what tells their entries apart."""
    count, body = 0, getattr(node, "body", None)
    while isinstance(body, (WhenNode, TimeoutNode, ThenNode, OnFailureNode)):
        count += type(body) is type(node)
        body = body.body
    return count


def else_path(node: OnFailureNode, path: str) -> str:
    """Return the path of what is done instead."""
    return f"{path}/else{nth(node) or ''}"


def steps_of(node: AnyNode, path: str, vm: VMRef) -> Iterator[tuple[str, StepNode, VMRef]]:
    """Return each step of a flow with its path and VM, in order; what is done only after a failure is left out."""
    if isinstance(node, StepNode):
        yield path, node, vm
    elif isinstance(node, (SequenceNode, ParallelNode)):
        for index, inner in enumerate(node.nodes):
            yield from steps_of(inner, f"{path}/{index}", vm)
    elif isinstance(node, EachNode):
        for each in node.vms:
            yield from steps_of(node.body, f"{path}/{each.id}", each)
    else:
        yield from steps_of(node.body, path + "/do" if isinstance(node, UndoNode) else path, vm)


def node_at(node: AnyNode, path: str, vm: VMRef) -> tuple[StepNode | UndoNode, VMRef]:
    """Return the step, or the part with an undo of its own, at a path of a walk, and its VM. Raises LookupError."""
    if isinstance(node, OnFailureNode) and node.otherwise is not None:
        prefix = else_path(node, "")
        if below(path, prefix):
            return node_at(node.otherwise, path.removeprefix(prefix), vm)
    if isinstance(node, (WhenNode, TimeoutNode, ThenNode, OnFailureNode)):
        return node_at(node.body, path, vm)
    part = _PART.match(path)
    if part is None:
        if isinstance(node, (StepNode, UndoNode)):
            return node, vm
        raise LookupError(path)
    rest, key = path[part.end() :], part[1]
    if isinstance(node, RetryNode):
        return node_at(node.body, rest, vm)
    if isinstance(node, EachNode):
        there = next((each for each in node.vms if each.id == key), None)
        if there is not None:
            return node_at(node.body, rest, there)
    elif isinstance(node, UndoNode):
        return node_at(node.undo if key == "undo" else node.body, rest, vm)
    elif isinstance(node, (SequenceNode, ParallelNode)) and key.isdigit() and int(key) < len(node.nodes):
        return node_at(node.nodes[int(key)], rest, vm)
    raise LookupError(path)


__all__ = ["below", "else_path", "node_at", "nth", "shown_path", "steps_of"]
