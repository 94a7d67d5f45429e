"""Metrics of VMs and hosts."""

from __future__ import annotations

from novacron.hookspecs.operation import operation
from novacron.records.metrics import HostMetrics, VMMetrics, VMUsage


@operation(kind="read")
def metrics_vm(vm: str) -> VMMetrics:
    """Measure one VM now.

    Args:
        vm: UUID or name of the VM.
    Returns:
        Counters and gauges. Sizes are bytes, times are seconds.
    Raises:
        VMNotFoundError: the host has no such VM.
    """
    raise NotImplementedError


@operation(kind="read")
def metrics_vms() -> list[VMMetrics]:
    """Measure all running VMs, sorted by VM id. The number of calls to the hypervisor does not grow with the number of VMs.

    Returns:
        One record per running VM.
    """
    raise NotImplementedError


@operation(kind="read")
def metrics_history(vm: str, seconds: float) -> list[VMUsage]:
    """Return the hypervisor's stored metrics of a VM for the last `seconds`.

    The hypervisor chooses the length of the intervals; older intervals are longer. Intervals without stored data are omitted.

    Args:
        vm: UUID or name of the VM.
        seconds: How far to look back, in seconds.
    Returns:
        One record per interval that ended in this time, oldest first.
    Raises:
        VMNotFoundError: the host has no such VM.
    """
    raise NotImplementedError


@operation(kind="read")
def metrics_host() -> HostMetrics:
    """Measure the host now.

    Returns:
        Counters and gauges. Sizes are bytes, times are seconds.
    """
    raise NotImplementedError
