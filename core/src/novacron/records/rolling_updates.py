"""Rolling updates of groups of nodes."""

from __future__ import annotations

from typing import Any, Literal

from novacron.records.capacity import DrainPlan, StuckVM
from novacron.records.record import Record

UpdateStage = Literal["waiting", "draining", "updating", "answering", "returning", "done"]
"""How far a rolling update is with a node: its VMs move away, the command runs, it has to answer, its VMs move back."""


class NodeUpdate(Record, frozen=True):
    """A node of a rolling update.

    Attributes:
        node: Name of the node.
        id: Id of the node.
        stage: How far the update is: "waiting", "draining" (its VMs move away), "updating" (the command runs), "answering" (it has to
            answer), "returning" (its VMs move back) or "done".
        reason: Why the update stopped at this stage, or which VMs did not come back; empty if all is well.
        plan: How the node would be emptied; only in a plan, otherwise None.
    """

    node: str
    id: str
    stage: UpdateStage = "waiting"
    reason: str = ""
    plan: DrainPlan | None = None


class RollingUpdate(Record, frozen=True):
    """A rolling update of a group: its nodes are emptied and updated one after the other.

    Attributes:
        group: Name of the group.
        settings: The given fields of `RollingUpdateSpec`.
        nodes: The nodes, in the order in which they are updated.
    """

    group: str
    settings: dict[str, Any]
    nodes: tuple[NodeUpdate, ...]

    @property
    def left(self) -> tuple[NodeUpdate, ...]:
        """The nodes that are not done; those that were begun come first."""
        return tuple(sorted((node for node in self.nodes if node.stage != "done"), key=lambda node: node.stage == "waiting"))

    @property
    def stuck(self) -> tuple[StuckVM, ...]:
        """The VMs that can't move, in a plan."""
        return tuple(each for node in self.nodes if node.plan is not None for each in node.plan.stuck)

    def with_node(self, node: str, **changes: Any) -> RollingUpdate:
        """Return a copy in which the node with that id is changed."""
        return self.replace(nodes=tuple(each.replace(**changes) if each.id == node else each for each in self.nodes))

    def __str__(self) -> str:
        done = ", ".join(node.node for node in self.nodes if node.stage == "done") or "none"
        left = ", ".join(f"{node.node} ({node.stage})" for node in self.left) or "none"
        return f"done: {done}; not done: {left}"


__all__ = ["NodeUpdate", "RollingUpdate", "UpdateStage"]
