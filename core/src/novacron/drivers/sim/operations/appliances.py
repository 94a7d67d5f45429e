"""Appliances of simulated VMs: their volumes have real content."""

from __future__ import annotations

from novacron.appliances.area import Appliances


class SimAppliances(Appliances):
    """Exports and imports through the simulated host's own operations."""


__all__ = ["SimAppliances"]
