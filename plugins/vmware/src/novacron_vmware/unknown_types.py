"""Reads answers with data of types that pyVmomi does not know, such as the results of tasks that only vSphere's own programs begin.

pyVmomi alone raises a KeyError then, and the whole answer is lost: a list of 100 tasks for the sake of one of them.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from novacron_vmware.sdk import SoapAdapter, vmodl


class Unknown(vmodl.DynamicData):  # type: ignore[misc]
    """Data of a type that pyVmomi does not know: each element becomes an attribute of its name."""

    __setattr__ = object.__setattr__

    @classmethod
    def _GetPropertyInfo(cls, name: str) -> Any:
        return SimpleNamespace(name=name, type=cls, flags=0)


class TolerantDeserializer(SoapAdapter.SoapDeserializer):  # type: ignore[misc]
    """pyVmomi's reader of answers, which takes unknown types as `Unknown`. An unknown fault is still an error."""

    def LookupWsdlType(self, ns: str, name: str, allowManagedObjectReference: bool = False) -> Any:
        try:
            return super().LookupWsdlType(ns, name, allowManagedObjectReference)
        except KeyError:
            if self.isFault or not self.stack or name.endswith("Fault"):
                raise
            return Unknown


__all__ = ["TolerantDeserializer", "Unknown"]
