"""NICs of a VM: attach, detach, change, plug and unplug."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.nics import NIC, NICAddress
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs import NICSpec, NICUpdate


@operation(kind="change", locks="vm", statuses="running suspended stopped")
def nic_attach(vm: str, spec: NICSpec) -> NIC:
    """Give a VM a NIC, at once when it runs, and persistently."""
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running stopped")
def nic_detach(vm: str, nic: str) -> VM:
    """Take a NIC (by MAC address) from a VM."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended stopped")
def nic_update(vm: str, nic: str, spec: NICUpdate) -> NIC:
    """Change a NIC: network, filter, QoS (bytes per second), MTU.

    A driver changes the fields that were given (`spec.model_fields_set`) and nothing else. A field that it can't change raises
    InvalidStateError (not while the VM runs) or InvalidSpecError (never).
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended stopped")
def nic_link_set(vm: str, nic: str, up: bool) -> NIC:
    """Plug or unplug a NIC's cable."""
    raise NotImplementedError


@operation(kind="read")
def address_list(vm: str, source: str | None) -> list[NICAddress]:
    """List the IP addresses of a VM's NICs; in the order of the NICs, IPv4 before IPv6, each address once.

    Only addresses of the VM's own NICs are listed, not those of bridges or containers within the guest. Link-local and loopback addresses
    are left out. A VM that does not run has none.

    Args:
        vm: the VM's id or name.
        source: ask only this source: "agent", "lease", "arp" or "tools". None asks all that the driver has; the first that reports an
            address is named.

    Raises:
        VMNotFoundError: there is no such VM.
        GuestAgentUnavailableError: `source` is "agent" or "tools", and it does not answer. With None it is passed over.
        UnsupportedOperationError: the driver does not have this source.
    """
    raise NotImplementedError
