"""Hosts: what they are, have and can do."""

from __future__ import annotations

from novacron.hookspecs.operation import operation
from novacron.records.host import Capabilities, Host, HostStats, Node, Ping


@operation(kind="read", mandatory=True)
def host_info() -> Host:
    """Describe the host: driver, hypervisor and its version, size.

    Raises:
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="read")
def host_stats() -> HostStats:
    """Tell what the host has and uses now: CPUs, memory in bytes, number of VMs.

    Raises:
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="read")
def host_capabilities() -> Capabilities:
    """Tell what VMs the host can run (architectures, machines, firmwares, virt types) and which operations are limited, and why.

    The driver leaves `operations` empty: the dispatcher fills in what the driver's hooks say.
    """
    raise NotImplementedError


@operation(kind="read", mandatory=True)
def host_ping() -> Ping:
    """Make one round trip to the host.

    Raises:
        HostConnectionError: the host does not answer.
    """
    raise NotImplementedError


@operation(kind="read")
def node_list() -> list[Node]:
    """List the machines behind this host, sorted by name.

    Raises:
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError
