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
    """List the networks, sorted by name."""
    raise NotImplementedError


@operation(kind="read")
def network_get(network: str) -> Network:
    """Return one network. Raises NetworkNotFoundError."""
    raise NotImplementedError


@operation(kind="change")
def network_create(spec: NetworkSpec) -> Network:
    """Define and start a network. Raises AlreadyExistsError (name, bridge or address range)."""
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def network_update(network: str, spec: NetworkSpec) -> Network:
    """Change what `spec` gives; all else stays.

    DHCP ranges and hosts, DNS hosts, port groups and autostart change while the network is in use. Raises InvalidStateError, before
    anything is changed, for what needs the network to be stopped.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def network_start(network: str) -> Network:
    """Make a network usable."""
    raise NotImplementedError


@operation(kind="change", idempotent=True)
def network_stop(network: str) -> Network:
    """Take a network out of use. Raises InvalidStateError while a running VM is on it."""
    raise NotImplementedError


@operation(kind="change")
def network_delete(network: str) -> Deleted:
    """Stop and forget a network. Raises InvalidStateError while a running VM is on it."""
    raise NotImplementedError


@operation(kind="read")
def lease_list(network: str) -> list[DHCPLease]:
    """List a network's DHCP leases, sorted by address."""
    raise NotImplementedError
