"""Names that a flow takes twice. Such a flow could only fail, so it is refused before its first step; nothing is asked of a host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from novacron.errors import WorkflowError
from novacron.workflow.nodes import AnyNode, OnFailureNode, ParallelNode, StepNode, VMRef, WhenNode, all_nodes

if TYPE_CHECKING:
    from novacron.workflow.composition import Workflow


class _Names:
    """The names that the steps so far take, and the step that takes each."""

    def __init__(self, flow: Workflow) -> None:
        self._flow = flow
        self._takers = dict[tuple[str, str, str], StepNode]()

    def walk(self, node: AnyNode, vm: VMRef) -> None:
        """Look at the steps that a run without failures goes through. Raises WorkflowError."""
        tolerated = isinstance(node, OnFailureNode) and node.action in ("continue", "otherwise")
        if isinstance(node, StepNode):
            self._step(node, vm)
        elif isinstance(node, WhenNode) or tolerated or (isinstance(node, ParallelNode) and self._frees(node)):
            self._forget(self._frees(node))  # whether and when these steps are done is not known
        else:
            for _, inner, its_vm in node.forward(vm):
                self.walk(inner, its_vm)

    def _step(self, node: StepNode, vm: VMRef) -> None:
        kind = self._flow.kind(node.kind)
        self._forget(kind.frees)
        for what, name in kind.takes(node.arguments):
            if (first := self._takers.get((vm.id, what, name))) is not None:
                words = self._flow.words
                raise WorkflowError(
                    f"the flow takes the {what} {name!r} of {vm.name or vm.id} twice: {words(first)}, and later {words(node)}",
                    outcome="not_sent",
                    resource=vm.name or None,
                    hint=f"give one of them another name{', such as {time} in it' if what == 'snapshot' else ''}; nothing was changed",
                )
            self._takers[vm.id, what, name] = node

    def _frees(self, node: AnyNode) -> frozenset[str]:
        inner = (self._flow.kind(each.kind).frees for each in all_nodes(node) if isinstance(each, StepNode))
        return frozenset().union(*inner)

    def _forget(self, kinds: Iterable[str]) -> None:
        self._takers = {key: node for key, node in self._takers.items() if key[1] not in kinds}


def refuse_clashes(flow: Workflow, vms: Iterable[VMRef]) -> None:
    """Make sure that no step of a flow takes a name that a step before it has taken.

    Steps of unknown code may free any name, and what is only done under a condition may not be done: neither is held against a flow.

    Raises:
        WorkflowError: names both steps.
    """
    for vm in vms:
        _Names(flow).walk(flow.node, vm)


__all__ = ["refuse_clashes"]
