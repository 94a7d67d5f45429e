"""Kinds of steps: what they do, how they are undone, and how a lost answer is found out. One file for each family of steps.

The names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from novacron.workflow.kinds.base import StepKind
    from novacron.workflow.kinds.registry import StepKinds, default_kinds, register_step

_HOME = {"StepKind": "base", "StepKinds": "registry", "default_kinds": "registry", "register_step": "registry"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


__all__ = ["StepKind", "StepKinds", "default_kinds", "register_step"]
