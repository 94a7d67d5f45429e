"""Allocation ratios and reserves. A node's own settings win over those of its group, these over those of the fleet, then the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from novacron.store.nodes import RESOURCES

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "vcpus_ratio": 4.0,
        "memory_ratio": 1.0,
        "storage_ratio": "unlimited",
        "vcpus_reserved": 0,
        "memory_reserved": 512 * 2**20,
        "storage_reserved": 0,
    }
)
"""The fields of `LimitSettings` until somebody changes them."""


def effective(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns `*_ratio` and `*_reserved` of a node; the first layer that has a field wins.

    Example:
        >>> effective({"vcpus_ratio": 1.5}, {"vcpus_ratio": 8.0})["vcpus_ratio"], effective()["storage_ratio"] is None
        (1.5, True)
    """
    found: dict[str, Any] = {}
    for resource in RESOURCES:
        for name in (f"{resource}_ratio", f"{resource}_reserved"):
            given = (layer[name] for layer in layers if layer.get(name) is not None)
            value = next(given, DEFAULTS[name])
            found[name] = None if value == "unlimited" else value
    return found


__all__ = ["DEFAULTS", "effective"]
