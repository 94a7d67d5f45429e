"""NICs of a VM: attach, detach, change, connect and disconnect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.hookspecs.operation import operation
from novacron.records.nics import NIC, NICAddress
from novacron.records.vm import VM

if TYPE_CHECKING:
    from novacron.specs import NICSpec, NICUpdate


@operation(kind="change", locks="vm", statuses="running suspended stopped")
def nic_attach(vm: str, spec: NICSpec) -> NIC:
    """Attach a NIC to a VM. A running VM gets it at once; the definition is changed too.

    Args:
        vm: UUID or name of the VM.
        spec: The new NIC.
    Returns:
        The new NIC with its MAC address.
    Raises:
        VMNotFoundError: the host has no such VM.
        AlreadyExistsError: the VM has a NIC of that MAC address.
        NetworkNotFoundError: the network does not exist.
        InvalidSpecError: the host does not support a field of the spec.

    When: running, suspended or stopped.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running stopped")
def nic_detach(vm: str, nic: str) -> VM:
    """Detach a NIC from a VM.

    Args:
        vm: UUID or name of the VM.
        nic: MAC address of the NIC.
    Returns:
        The VM without the NIC.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the VM has no such NIC.
        OperationTimeoutError: the guest did not release the NIC.

    When: running or stopped.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended stopped")
def nic_update(vm: str, nic: str, spec: NICUpdate) -> NIC:
    """Change a NIC: network, traffic filter, QoS (bytes per second), MTU.

    A driver changes the fields that were given (`spec.model_fields_set`) and nothing else.

    Args:
        vm: UUID or name of the VM.
        nic: MAC address of the NIC.
        spec: The fields to change.
    Returns:
        The changed NIC.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the VM has no such NIC.
        InvalidStateError: a field can't be changed while the VM runs.
        InvalidSpecError: the driver can't change a field.

    When: running, suspended or stopped.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running suspended stopped")
def nic_link_set(vm: str, nic: str, up: bool) -> NIC:
    """Set the link state of a NIC.

    Args:
        vm: UUID or name of the VM.
        nic: MAC address of the NIC.
        up: True connects the virtual cable, False disconnects it.
    Returns:
        The changed NIC.
    Raises:
        VMNotFoundError: the host has no such VM.
        DeviceNotFoundError: the VM has no such NIC.

    When: running, suspended or stopped.
    """
    raise NotImplementedError


@operation(kind="read")
def address_list(vm: str, source: str | None) -> list[NICAddress]:
    """List the IP addresses of a VM's NICs, in the order of the NICs, IPv4 before IPv6, each address once.

    Only addresses of the VM's own NICs are listed, not those of bridges or containers inside the guest. Link-local and loopback addresses
    are omitted. A VM that does not run has no addresses.

    Args:
        vm: UUID or name of the VM.
        source: Ask only this source: "agent", "lease", "arp" or "tools". None asks all sources of the driver; each address names the first
            source that reported it.
    Returns:
        One record per address.
    Raises:
        VMNotFoundError: there is no such VM.
        GuestAgentUnavailableError: `source` is "agent" or "tools", and it does not answer. With None it is passed over.
        UnsupportedOperationError: the driver does not have this source.
    """
    raise NotImplementedError
