"""Kinds of steps: what they do, how they are undone, and how a lost answer is found out. One file for each family of steps."""

from __future__ import annotations

from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.registry import StepKinds, default_kinds, register_step

__all__ = ["StepKind", "StepKinds", "default_kinds", "register_step"]
