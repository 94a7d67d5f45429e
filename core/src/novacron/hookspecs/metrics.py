"""Measurements of VMs and hosts."""

from __future__ import annotations

from novacron.hookspecs.operation import operation
from novacron.records.metrics import HostMetrics, VMMetrics


@operation(kind="read")
def metrics_vm(vm: str) -> VMMetrics:
    """Measure one VM now."""
    raise NotImplementedError


@operation(kind="read")
def metrics_vms() -> list[VMMetrics]:
    """Measure all running VMs in a number of calls that does not grow with theirs; sorted by VM id."""
    raise NotImplementedError


@operation(kind="read")
def metrics_host() -> HostMetrics:
    """Measure the host now."""
    raise NotImplementedError
