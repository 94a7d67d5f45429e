"""Kinds of steps: what they do, how they are undone, and how a lost answer is found out. One file for each family of steps."""

from __future__ import annotations

from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.registry import KINDS, StepKinds, register_step

__all__ = ["KINDS", "StepKind", "StepKinds", "register_step"]
