"""A host's traffic filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from novacron.handles.collection import Collection
from novacron.records.filters import TrafficFilter

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.records.vm import Deleted
    from novacron.specs.keywords import TrafficFilterOptions


class FilterCollection(Collection[TrafficFilter]):
    """A host's traffic filters.

    Example:
        >>> import novacron
        >>> filters = novacron.connect("sim://filters").filters
        >>> filters.create("no-ping", rules=[{"action": "deny", "direction": "in", "protocol": "icmp"}]).rules[0]["protocol"]
        'icmp'
    """

    _title = "traffic filters"

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def list(self) -> list[TrafficFilter]:
        """Return all traffic filters, sorted by name."""
        result: list[TrafficFilter] = self._host.invoke("filter_list")
        return result

    def _all(self) -> Sequence[TrafficFilter]:
        return self.list()

    def _find(self, name: str) -> TrafficFilter:
        result: TrafficFilter = self._host.invoke("filter_get", filter=name)
        return result

    def create(self, name: str, **fields: Unpack[TrafficFilterOptions]) -> TrafficFilter:
        """Create a traffic filter from the fields of `TrafficFilterSpec`."""
        return self._put("filter_create", name, fields)

    def update(self, name: str, **fields: Unpack[TrafficFilterOptions]) -> TrafficFilter:
        """Replace the rules of a traffic filter. They apply to running VMs at once."""
        return self._put("filter_update", name, fields, filter=name)

    def delete(self, name: str) -> Deleted:
        """Delete a traffic filter that no NIC uses."""
        result: Deleted = self._host.invoke("filter_delete", filter=name)
        return result

    def _put(self, operation: str, name: str, fields: TrafficFilterOptions, **arguments: Any) -> TrafficFilter:
        from novacron.specs import TrafficFilterSpec

        result: TrafficFilter = self._host.invoke(operation, spec=TrafficFilterSpec.parse({"name": name, **fields}), **arguments)
        return result


__all__ = ["FilterCollection"]
