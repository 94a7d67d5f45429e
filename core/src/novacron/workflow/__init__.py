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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from novacron.workflow import steps
    from novacron.workflow.composition import Workflow, parallel, workflow
    from novacron.workflow.flows import FLOWS, FlowFunction, flow
    from novacron.workflow.functions import Function, FunctionStep, function, step
    from novacron.workflow.kinds import StepKind, register_step
    from novacron.workflow.plan import Plan, PlannedStep
    from novacron.workflow.run.progress import StepRecord
    from novacron.workflow.run.run import Run, RunProgress

_HOME = {
    "FLOWS": "flows",
    "FlowFunction": "flows",
    "Function": "functions",
    "FunctionStep": "functions",
    "Plan": "plan",
    "PlannedStep": "plan",
    "Run": "run.run",
    "RunProgress": "run.run",
    "StepKind": "kinds.base",
    "StepRecord": "run.progress",
    "Workflow": "composition",
    "flow": "flows",
    "function": "functions",
    "parallel": "composition",
    "register_step": "kinds.registry",
    "step": "functions",
    "workflow": "composition",
}


def __getattr__(name: str) -> Any:
    if name == "steps":
        return import_module(f"{__name__}.steps")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


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
