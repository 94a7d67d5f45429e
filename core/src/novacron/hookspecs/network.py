"""Networks, DHCP leases, a VM's NICs, traffic filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.network import DHCPLease, Network, TrafficFilter
from novacron.records.vm import NIC, VM, Deleted

if TYPE_CHECKING:
    from novacron.specs import NetworkSpec, NICSpec, TrafficFilterSpec


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


@operation(kind="change", locks="vm", statuses="running suspended stopped")
def nic_attach(vm: str, spec: NICSpec) -> NIC:
    """Give a VM a NIC, at once when it runs, and persistently."""
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running stopped")
def nic_detach(vm: str, nic: str) -> VM:
    """Take a NIC (by MAC address) from a VM."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended stopped")
def nic_update(vm: str, nic: str, spec: NICSpec) -> NIC:
    """Change a NIC: network, filter, QoS (bytes per second), MTU."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended stopped")
def nic_link_set(vm: str, nic: str, up: bool) -> NIC:
    """Plug or unplug a NIC's cable."""
    raise NotImplementedError


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
