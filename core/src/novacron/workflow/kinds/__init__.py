"""Kinds of steps: what they do, how they are undone, and how a lost answer is found out. One file for each family of steps.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.lazy_names import lazy_names

if TYPE_CHECKING:
    from novacron.workflow.kinds.base import StepKind
    from novacron.workflow.kinds.registry import StepKinds, default_kinds, register_step

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "base": "StepKind",
        "registry": "StepKinds default_kinds register_step",
    },
)

__all__ = ["StepKind", "StepKinds", "default_kinds", "register_step"]
