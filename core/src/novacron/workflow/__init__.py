"""Workflows: operations composed as data, planned before they run, undone when a step fails.

Example:
    >>> flow = steps.migrate(to="kvm2") >> steps.snapshot("after")
    >>> flow
    <Workflow migrate to kvm2 >> snapshot 'after'>
    >>> Workflow.from_dict(flow.as_dict()) == flow
    True
"""

from __future__ import annotations

from novacron.workflow import steps
from novacron.workflow.composition import Workflow, parallel, workflow
from novacron.workflow.flows import FLOWS, FlowFunction, flow
from novacron.workflow.functions import Function, FunctionStep, function, step
from novacron.workflow.kinds import StepKind, register_step
from novacron.workflow.plan import Plan, PlannedStep
from novacron.workflow.run.progress import StepRecord
from novacron.workflow.run.run import Run, RunProgress

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
