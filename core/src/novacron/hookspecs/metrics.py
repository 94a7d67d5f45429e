"""Measurements of VMs and hosts."""

from __future__ import annotations

from novacron.hookspecs.operation import operation
from novacron.records.metrics import HostMetrics, VMMetrics, VMUsage


@operation(kind="read")
def metrics_vm(vm: str) -> VMMetrics:
    """Measure one VM now.

    Raises:
        VMNotFoundError: the host has no such VM.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="read")
def metrics_vms() -> list[VMMetrics]:
    """Measure all running VMs in a number of calls that does not grow with theirs; sorted by VM id.

    Raises:
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="read")
def metrics_history(vm: str, seconds: float) -> list[VMUsage]:
    """Return what the hypervisor kept of a VM's last `seconds`; one record for each interval that ended since, the oldest first.

    The hypervisor chooses how long an interval is: longer ones, the farther back one looks. Of what it kept nothing, nothing is said.
    """
    raise NotImplementedError


@operation(kind="read")
def metrics_host() -> HostMetrics:
    """Measure the host now.

    Raises:
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError
