"""Networks that NICs attach to, and their DHCP leases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.networks import DHCPLease, Network
from novacron.records.vm import Deleted

if TYPE_CHECKING:
    from novacron.specs import NetworkSpec


@operation(kind="read")
def network_list() -> list[Network]:
    """List the networks, sorted by name.

    Returns:
        One record per network.
    """
    raise NotImplementedError


@operation(kind="read")
def network_get(network: str) -> Network:
    """Return one network.

    Args:
        network: Name of the network.
    Returns:
        Its record.
    Raises:
        NetworkNotFoundError: the host has no such network.
    """
    raise NotImplementedError


@operation(kind="change")
def network_create(spec: NetworkSpec) -> Network:
    """Create and start a network.

    Args:
        spec: Name, mode, bridge, addresses, DHCP and DNS.
    Returns:
        The record of the new network.
    Raises:
        AlreadyExistsError: the name, the bridge or the address range is in use.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="network")
def network_update(network: str, spec: NetworkSpec) -> Network:
    """Change the given properties of a network. All others stay unchanged.

    DHCP ranges and hosts, DNS hosts, port groups and autostart can be changed while the network is in use.

    Args:
        network: Name of the network.
        spec: The properties to change; its name must be the network's.
    Returns:
        The changed record.
    Raises:
        NetworkNotFoundError: the host has no such network.
        InvalidSpecError: `spec` has another name.
        InvalidStateError: a property can only be changed while the network is stopped. Nothing was changed.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def network_start(network: str) -> Network:
    """Start a network.

    Args:
        network: Name of the network.
    Returns:
        Its record.
    Raises:
        NetworkNotFoundError: the host has no such network.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def network_stop(network: str) -> Network:
    """Stop a network.

    Args:
        network: Name of the network.
    Returns:
        Its record.
    Raises:
        NetworkNotFoundError: the host has no such network.
        InvalidStateError: a running VM uses the network.
    """
    raise NotImplementedError


@operation(kind="change", locks="network")
def network_delete(network: str) -> Deleted:
    """Stop and delete a network.

    Args:
        network: Name of the network.
    Returns:
        What was deleted.
    Raises:
        NetworkNotFoundError: the host has no such network.
        InvalidStateError: a VM uses the network, running or stopped: it could not start without it.
    """
    raise NotImplementedError


@operation(kind="read")
def lease_list(network: str) -> list[DHCPLease]:
    """List the DHCP leases of a network, sorted by address.

    Args:
        network: Name of the network.
    Returns:
        One record per lease.
    Raises:
        NetworkNotFoundError: the host has no such network.
    """
    raise NotImplementedError
