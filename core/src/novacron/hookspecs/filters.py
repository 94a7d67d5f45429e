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
    """List the traffic filters, sorted by name.

    Returns:
        One record per traffic filter.
    """
    raise NotImplementedError


@operation(kind="read")
def filter_get(filter: str) -> TrafficFilter:
    """Return one traffic filter.

    Args:
        filter: Name of the traffic filter.
    Returns:
        Its record.
    Raises:
        TrafficFilterNotFoundError: the host has no such filter.
    """
    raise NotImplementedError


@operation(kind="change")
def filter_create(spec: TrafficFilterSpec) -> TrafficFilter:
    """Create a traffic filter.

    Args:
        spec: Name and rules.
    Returns:
        The record of the new filter.
    Raises:
        AlreadyExistsError: the host has a filter of that name.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="filter")
def filter_update(filter: str, spec: TrafficFilterSpec) -> TrafficFilter:
    """Replace the rules of a traffic filter. They apply to running VMs at once.

    Args:
        filter: Name of the traffic filter.
        spec: The new rules; its name must be the filter's.
    Returns:
        The changed record.
    Raises:
        TrafficFilterNotFoundError: the host has no such filter.
        InvalidSpecError: `spec` has another name.
    """
    raise NotImplementedError


@operation(kind="change", locks="filter")
def filter_delete(filter: str) -> Deleted:
    """Delete a traffic filter.

    Args:
        filter: Name of the traffic filter.
    Returns:
        What was deleted.
    Raises:
        TrafficFilterNotFoundError: the host has no such filter.
        InvalidStateError: a NIC uses the filter.
    """
    raise NotImplementedError
