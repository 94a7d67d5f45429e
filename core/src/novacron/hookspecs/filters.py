"""Traffic filters: sets of rules that NICs refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.filters import TrafficFilter
from novacron.records.vm import Deleted

if TYPE_CHECKING:
    from novacron.specs import TrafficFilterSpec


@operation(kind="read")
def filter_list() -> list[TrafficFilter]:
    """List the traffic filters, sorted by name."""
    raise NotImplementedError


@operation(kind="read")
def filter_get(filter: str) -> TrafficFilter:
    """Return one traffic filter. Raises TrafficFilterNotFoundError."""
    raise NotImplementedError


@operation(kind="change")
def filter_create(spec: TrafficFilterSpec) -> TrafficFilter:
    """Define a traffic filter. Raises AlreadyExistsError."""
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def filter_update(filter: str, spec: TrafficFilterSpec) -> TrafficFilter:
    """Put other rules in place of a filter's; for running VMs at once."""
    raise NotImplementedError


@operation(kind="change")
def filter_delete(filter: str) -> Deleted:
    """Delete a traffic filter. Raises InvalidStateError while a NIC uses it."""
    raise NotImplementedError
