"""Hosts: properties, resources and capabilities."""

from __future__ import annotations

from collections.abc import Sequence

from novacron.hookspecs.operation import operation
from novacron.records.host import Capabilities, CPUBaseline, Expiration, Host, HostStats, Node, Ping


@operation(kind="read", mandatory=True)
def host_info() -> Host:
    """Return the driver, the hypervisor with its version, and the size of the host.

    Returns:
        The host's record; memory in bytes.
    """
    raise NotImplementedError


@operation(kind="read")
def host_stats() -> HostStats:
    """Return the resources of the host and their use now: CPUs, memory in bytes, number of VMs.

    Returns:
        One record for the whole host.
    """
    raise NotImplementedError


@operation(kind="read")
def host_capabilities() -> Capabilities:
    """Return what VMs the host can run (architectures, machine types, firmware) and which operations are limited, and why.

    The driver leaves `operations` empty. The dispatcher sets it from the driver's hooks.

    Returns:
        The host's capabilities.
    """
    raise NotImplementedError


@operation(kind="read", mandatory=True)
def host_ping() -> Ping:
    """Make one round trip to the host.

    Returns:
        The duration in seconds.
    Raises:
        HostConnectionError: the host does not answer.
    """
    raise NotImplementedError


@operation(kind="read")
def node_list() -> list[Node]:
    """List the physical machines of this host, sorted by name. A vCenter has many, a single hypervisor has one.

    Returns:
        One record per machine.
    """
    raise NotImplementedError


@operation(kind="read")
def host_cpu_baseline(others: Sequence[str]) -> CPUBaseline:
    """Return the best CPU that a VM can have on all nodes of this host and of other hosts, so that it can migrate between them.

    Args:
        others: the `description` of the baseline of each other host, as a driver of the same kind returned it. May be empty.

    Returns:
        The CPU model with its features.
    Raises:
        InvalidSpecError: a description is none of this driver's.
        UnsupportedOperationError: the host can't compute it, or the hosts have no CPU model in common.
    """
    raise NotImplementedError


@operation(kind="read", timeout=60)
def host_lock_manager() -> str:
    """Return what leases the disks of running VMs on this host, so that no other host opens them. It is tried, not read from a setting.

    Returns:
        "virtlockd", "sanlock" or "none".
    Raises:
        UnsupportedOperationError: the hypervisor has no lock manager that could be tried.
    """
    raise NotImplementedError


@operation(kind="read")
def host_expirations() -> list[Expiration]:
    """List what expires on this host, such as the licences of a vCenter, sorted by name. What never expires is left out.

    Returns:
        One record per thing that expires.
    """
    raise NotImplementedError
