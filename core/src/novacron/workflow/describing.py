"""A flow in words, for people."""

from __future__ import annotations

from novacron.errors import WorkflowError
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
    WhenNode,
)


def describe(node: AnyNode) -> str:
    """Return a flow on one line; never does I/O, and never fails for a kind that this process doesn't know."""
    if isinstance(node, StepNode):
        return describe_step(node)
    if isinstance(node, SequenceNode):
        return " >> ".join(describe(n) for n in node.nodes)
    if isinstance(node, ParallelNode):
        return f"parallel({', '.join(describe(n) for n in node.nodes)})"
    body = describe(node.body)
    if isinstance(node.body, SequenceNode):
        body = f"({body})"
    if isinstance(node, EachNode):
        return f"{body} for each of {len(node.vms)} VMs"
    if isinstance(node, WhenNode):
        return f"{body} when {condition_text(node)}"
    if isinstance(node, RetryNode):
        return f"{body} up to {node.attempts} times"
    if isinstance(node, TimeoutNode):
        return f"{body} within {node.seconds:g} s"
    if isinstance(node, UndoNode):
        return f"{body} undone by ({describe(node.undo)})"
    if isinstance(node, OnFailureNode):
        return f"{body} on failure {describe(node.otherwise) if node.otherwise else node.action}"
    if isinstance(node, ThenNode):
        return f"{body} then {function_text(node.function)}"
    raise AssertionError(node)


def describe_step(node: StepNode) -> str:
    """Return one step in words."""
    try:
        return KINDS.find(node.kind).describe(node.arguments)
    except (WorkflowError, KeyError):
        return node.kind


def condition_text(node: WhenNode) -> str:
    """Return a condition in words."""
    return " and ".join(f"{k}={v}" for k, v in node.facts.items()) or f"{function_text(node.function or '')} says so"


def function_text(name: str) -> str:
    """Return a function's short name."""
    return name.partition("#")[0].rpartition(":")[2].rpartition(".")[2]


__all__ = ["condition_text", "describe", "describe_step", "function_text"]
