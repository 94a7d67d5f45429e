"""Workflows: operations composed as data, planned before they run, undone when a step fails. The names are loaded when they are first used.

The package does not import its modules by itself. If it did, a thread that imports the package and one that imports a module of it could
wait for each other, and Python would end one of the imports with an error.

Example:
    >>> from novacron.workflow import Workflow, steps
    >>> flow = steps.migrate(to="kvm2") >> steps.snapshot("after")
    >>> flow
    <Workflow migrate to kvm2 >> snapshot 'after'>
    >>> Workflow.from_dict(flow.as_dict()) == flow
    True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.lazy_names import lazy_names

if TYPE_CHECKING:
    from novacron.workflow import steps
    from novacron.workflow.composition import Workflow, parallel, workflow
    from novacron.workflow.flows import FLOWS, FlowFunction, flow
    from novacron.workflow.functions import Function, FunctionStep, function, step
    from novacron.workflow.kinds import StepKind, register_step
    from novacron.workflow.plan import Plan, PlannedStep
    from novacron.workflow.run.progress import StepRecord
    from novacron.workflow.run.run import Run, RunProgress

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "flows": "FLOWS FlowFunction flow",
        "functions": "Function FunctionStep function step",
        "plan": "Plan PlannedStep",
        "run.run": "Run RunProgress",
        "kinds.base": "StepKind",
        "run.progress": "StepRecord",
        "composition": "Workflow parallel workflow",
        "kinds.registry": "register_step",
        "steps": "",
    },
)

__all__ = [
    "FLOWS",
    "FlowFunction",
    "Function",
    "FunctionStep",
    "Plan",
    "PlannedStep",
    "Run",
    "RunProgress",
    "StepKind",
    "StepRecord",
    "Workflow",
    "flow",
    "function",
    "parallel",
    "register_step",
    "step",
    "steps",
    "workflow",
]
